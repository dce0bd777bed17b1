"""Many prompts: each becomes one sheet, once, whoever makes it and however often the run is begun."""

from dataclasses import replace

import pytest
from launched import on_two_processes
from PIL import Image

from janus_minimal.album import make_album, read_prompts
from janus_minimal.errors import InputError, PromptError
from janus_minimal.request import Request
from janus_minimal.sheet import sheet

PROMPTS = ["a red circle", "two stars", "a blue square", "a green cross", "three triangles"]
LIKE = Request("", steps=2, num_images=2)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_each_prompt_becomes_the_sheet_that_it_makes_alone(pipe, tmp_path):
    """album(prompts)[i] = sheet(prompt i).

    In the order of the prompts, and from the same seeds.
    """
    paths = make_album(pipe, PROMPTS, LIKE, tmp_path / "album")
    for path, prompt in zip(paths, PROMPTS, strict=True):
        alone = sheet(pipe.to_pictures(replace(LIKE, prompt=prompt).draw(pipe, progress=False)), columns=4)
        with Image.open(path) as picture:
            assert picture.tobytes() == alone.tobytes()
    assert [path.name for path in paths] == sorted(files(tmp_path / "album"))


def test_a_run_that_goes_on_makes_what_is_missing(pipe, tmp_path):
    """album(album - {i}) = album; the others are not touched.

    Which are there is read from the folder, so nothing else has to be kept.
    """
    paths = make_album(pipe, PROMPTS[:3], LIKE, tmp_path)
    before, times = files(tmp_path), [path.stat().st_mtime_ns for path in paths]
    paths[1].unlink()
    make_album(pipe, PROMPTS[:3], LIKE, tmp_path)
    assert files(tmp_path) == before
    assert [paths[i].stat().st_mtime_ns for i in (0, 2)] == [times[0], times[2]]


def test_two_processes_make_the_album_of_one(pipe, tmp_path):
    """album(2 processes) = album(1 process).

    Each takes every second prompt; no picture is made twice or waits for another.
    """
    make_album(pipe, PROMPTS, LIKE, tmp_path / "one")
    (tmp_path / "prompts.txt").write_text("\n\n".join(PROMPTS), encoding="utf-8")
    asked = ("--prompts", "prompts.txt", "--out", "two", "--steps", "2", "--num-images", "2")
    result = on_two_processes(tmp_path, "generate", *asked)
    assert result.returncode == 0, result.stderr
    assert (
        f"{len(PROMPTS) - len(PROMPTS) // 2}/{len(PROMPTS) - len(PROMPTS) // 2}" in result.stderr
    )  # the first's share
    assert files(tmp_path / "two") == files(tmp_path / "one")
    assert result.stdout.count("5 sheets") == 1


def test_pictures_of_another_asking_are_not_mixed_in(pipe, tmp_path):
    """request(file) != request  =>  InputError, and nothing is written.

    A PNG carries what it was asked for; one that does not is somebody else's.
    """
    first, second = make_album(pipe, PROMPTS[:2], LIKE, tmp_path)
    first.unlink()
    before = files(tmp_path)
    for prompts, like in ((["a red circle", "a red cross"], LIKE), (PROMPTS[:2], replace(LIKE, seed=1))):
        with pytest.raises(InputError, match=r"00001\.png was asked for otherwise.*another --out"):
            make_album(pipe, prompts, like, tmp_path)
    second.write_bytes(b"no picture")
    with pytest.raises(InputError, match="asked for otherwise"):
        make_album(pipe, PROMPTS[:2], LIKE, tmp_path)
    assert files(tmp_path).keys() == before.keys()


def test_a_prompt_that_is_none_is_found_before_the_work(pipe, tmp_path):
    """any prompt unknown  =>  PromptError, no folder.

    The last line of a long file should not stop an hour's work.
    """
    with pytest.raises(PromptError, match="dragon"):
        make_album(pipe, [*PROMPTS, "a red dragon"], LIKE, tmp_path / "album")
    assert not (tmp_path / "album").exists()


@pytest.mark.parametrize("content", [None, b"", b" \n\n", b"a red circle\n\xff\xfe"])
def test_what_is_no_file_of_prompts_is_refused(content, tmp_path):
    """no line with a prompt  =>  InputError.

    Missing, empty, blank, or no text: each is said, and what would be right.
    """
    if content is not None:
        (tmp_path / "prompts.txt").write_bytes(content)
    with pytest.raises(InputError, match=r"prompts\.txt .*right would be"):
        read_prompts(tmp_path / "prompts.txt")
