"""The built site holds together: links, anchors, pictures, the API, the map, the scrubber."""

import ast
import html
import importlib
import json
import pkgutil
import re
import runpy
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import compass
import markdown
import nbformat
import numpy as np
import prepare
import pytest
import torch
from macros import built, excerpts
from macros.annotations import as_markdown
from macros.estimates import DEVICES, bytes_a_step, estimated_seconds
from macros.excerpts import read
from macros.means import bootstrap, of_seeds, resampled, student
from macros.reading import chapters, words
from macros.shape_map import TENSORS, released, small
from macros.tuning import ADVICE, RECORD, save_peak
from PIL import Image

import janus_minimal
from janus_minimal import JanusFlowPipeline, PromptPair
from janus_minimal.cli import app
from janus_minimal.pipeline import image_noise
from janus_minimal.prompt import duplicate_for_cfg

DOCS = Path(__file__).parent
PACKAGE = DOCS.parent / "janus_minimal"
HELD = re.compile(r'<p class="held">(.*?)</p>', re.DOTALL)
LOADED = {"script": "src", "img": "src", "link": "href", "source": "src", "iframe": "src"}  # without being asked for


class Page(HTMLParser):
    """What a page links to, what it loads, its anchors, and its pictures' alternative texts."""

    def __init__(self, path: Path):
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.alts: list[str | None] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.anchors |= {value for key in ("id", "name") if (value := values.get(key))}
        if tag == "a" and values.get("href"):
            self.links.append(str(values["href"]))
        if tag in LOADED and values.get(LOADED[tag]):
            self.loads.append(str(values[LOADED[tag]]))
        if tag == "img":
            self.alts.append(values.get("alt"))


@pytest.mark.parametrize("script", sorted(p.name for p in DOCS.glob("*.py") if p.stem not in ("conftest", "prepare")))
def test_every_script_finds_what_it_imports(script):
    """Long experiments run once in a year. A name that the package no longer has must show before that."""
    runpy.run_path(str(DOCS / script), run_name="imported")


@pytest.fixture(scope="session")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


def test_every_page_has_its_place_in_the_reading_order(site, pages):
    order = re.findall(r": (\S+)\.md$", (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    built = {str(path.relative_to(site).with_suffix("")) for path in pages} - {"404"}
    assert {name for name in built if not name.startswith("api/")} | {"api/index"} == set(order)


def test_every_link_and_anchor_leads_somewhere(pages):
    broken = []
    for path, page in pages.items():
        for link in [*page.links, *page.loads]:
            target, anchor = urldefrag(unquote(link))
            target = target.partition("?")[0]  # what a lab begins with
            if target.startswith(("http", "data:", "mailto:")) or path.name == "404.html":
                continue
            file = (path.parent / target).resolve() if target else path
            if not file.exists() or (anchor and file in pages and anchor not in pages[file].anchors):
                broken.append(f"{path.name}: {link}")
    assert not broken


def test_the_text_of_every_link_says_where_it_leads():
    """Whoever listens to a page often hears its links alone, one after the other."""
    empty = r"\[(\d+|above|below|click|here|how|it|law|link|one|see|this|why)\]\("
    found = {
        path.name: [match[1] for match in re.finditer(empty, path.read_text(encoding="utf-8"), re.IGNORECASE)]
        for path in [*DOCS.glob("*.md"), DOCS.parent / "README.md"]
        if path.name != "laws.md"  # it shows code, in which an index may be called
    }
    assert not {name: texts for name, texts in found.items() if texts}


def test_the_statement_of_a_law_is_one_piece_of_code(site):
    """A backtick in a statement would end the code there, and the words around it would run together."""
    shown = [line for path in site.glob("*.html") for line in HELD.findall(path.read_text(encoding="utf-8"))]
    assert shown
    assert not [line for line in shown if line.count("<code>") != 1 or not line.endswith("</code>")]


def test_nothing_is_loaded_from_elsewhere(pages):
    assert not [
        (path.name, load) for path, page in pages.items() for load in page.loads if load.startswith(("http", "//"))
    ]


def test_every_picture_is_told_in_words(pages):
    assert not [path.name for path, page in pages.items() if not all(page.alts)]


def test_every_public_name_has_an_entry_in_the_api(site, pages):
    entries = {anchor for path, page in pages.items() if path.parent.name == "api" for anchor in page.anchors}
    assert not [name for name in public_names() if name not in entries]
    assert set(janus_minimal.__all__) <= {name.split(".")[-1] for name in entries}


def test_a_token_in_a_docstring_is_shown():
    """A browser takes <begin_of_image> for an element and shows nothing. In code, Markdown writes it as text."""
    told = "The last token, <begin_of_image>, of `<a>`, where 1 < 2.\n\n>>> split()\n['<unk>']\n"
    shown = markdown.markdown(as_markdown(told), extensions=["fenced_code"])
    assert re.findall(r"<(\w+)", shown) == ["p", "code", "pre", "code"]
    text = html.unescape(re.sub(r"<[^>]*>", "", shown))
    assert text == "The last token, <begin_of_image>, of <a>, where 1 < 2.\n>>> split()\n['<unk>']\n"


def test_no_token_is_lost_in_the_api(site):
    """The core tells of <begin_of_image>, and no page has an element of that name."""
    pages = {path: path.read_text(encoding="utf-8") for path in site.glob("api/*.html")}
    assert not [path.name for path, page in pages.items() if re.search(r"<\w+_\w+", page)]
    assert "The last token, &lt;begin_of_image&gt;, is dropped" in pages[site / "api" / "prompt.html"]


def test_every_public_name_says_what_it_is():
    for name in public_names():
        module, _, attribute = name.rpartition(".")
        assert (getattr(importlib.import_module(module), attribute).__doc__ or "").strip(), name


def test_whoever_raises_says_so():
    silent = []
    for name, node in public_functions():
        for function in (node, *node.body) if isinstance(node, ast.ClassDef) else (node,):
            if isinstance(function, ast.FunctionDef) and not function.name.startswith("_"):
                said = ast.get_docstring(function) or ""
                silent += [(name, function.name, error) for error in raised(function) if error not in said]
    assert not silent


def test_the_map_tells_the_sizes_that_the_bundled_model_has():
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    values = {**small(), "B": 3, "2B": 6}
    pair = PromptPair.from_text("a red circle", pipe.tokenizer, images_per_prompt=3)
    z = image_noise(pipe.latent_shape, 3)
    with torch.no_grad():
        x_emb, t_emb, skip = pipe.model.encode(z, torch.tensor(0.5))
        found = {"z": z, "x_emb": x_emb, "t_emb": t_emb, "skip": skip}  # B rows: the prompt has not entered yet
        tokens, t_emb, skip = duplicate_for_cfg(pipe.model.align_in(x_emb, t_emb), t_emb, skip)
        cache = pipe.model.prefill(pair)
        hidden = pipe.model.backbone(tokens, pair.batch(), cache)
        back = pipe.model.align_out(hidden, skip)
        v_cond, _ = pipe.model.decode(back, t_emb, skip).chunk(2)
    keys = torch.stack([layer.keys for layer in cache.layers])
    found |= {"ids": pair.batch().ids, "keys, values": keys}
    found |= {"tokens": tokens, "hidden": hidden, "back": back, "v_cond, v_uncond": v_cond, "v": v_cond, "z_next": z}
    found["pictures"] = pipe.to_pictures(z, "pt")
    values["L"] = pair.rows.ids.shape[1]
    for tensor in TENSORS:
        assert list(found[tensor.name].shape) == [int(values.get(d, d)) for d in tensor.dims.split()], tensor.name


def test_the_map_tells_the_released_sizes():
    assert released() | {"C": 768, "D": 2048, "h": 24, "1+N": 577, "layers": 24} == released()


def test_texts_that_a_cell_printed_in_turn_are_one_text():
    text, figure = {"output_type": "stream", "text": "one\n"}, {"output_type": "display_data", "data": {}}
    cell = nbformat.from_dict({"outputs": [text, text, figure, figure, text]})
    assert [given.get("text") for given in prepare.joined(cell.outputs)] == ["one\none\n", None, None, "one\n"]


def test_a_large_number_is_written_out(monkeypatch):
    monkeypatch.setattr(excerpts, "read", {"large": 1083.4, "round": 108.0, "small": 3.14159, "tiny": 1e-7}.__getitem__)
    found = [excerpts.number(name, digits=2) for name in ("large", "round", "small", "tiny")]
    assert found == ["1,083", "108", "3.1", "1e-07"]


def test_the_scrubber_has_a_sheet_for_every_choice():
    choices = json.loads((DOCS / "scrubber" / "choices.json").read_text(encoding="utf-8"))
    sheets = {
        f"{prompt}-{seed}-{weight:g}.webp"
        for prompt in range(len(choices["prompts"]))
        for seed in choices["seeds"]
        for weight in choices["weights"]
    }
    assert sheets == {path.name for path in (DOCS / "scrubber").glob("*.webp")}
    size = (48 * choices["steps"], 48 * len(choices["rows"]))
    for name in sheets:
        with Image.open(DOCS / "scrubber" / name) as sheet:
            assert sheet.size == size
    assert sum((DOCS / "scrubber" / name).stat().st_size for name in sheets) <= 3e6


def test_the_compass_has_a_picture_for_every_choice():
    record = json.loads((DOCS / "compass" / "record.json").read_text(encoding="utf-8"))
    assert {path.stem for path in (DOCS / "compass").glob("*.webp")} == {str(k) for k in range(len(record["runs"]))}
    for path in (DOCS / "compass").glob("*.webp"):
        with Image.open(path) as sheet:
            assert sheet.size == (48 * len(record["weights"]), 48 * len(record["times"]))
    assert sum(path.stat().st_size for path in (DOCS / "compass").iterdir()) <= 2e5


def test_the_compass_plays_what_the_bundled_model_does(monkeypatch):
    """Velocities, whether the last pictures fit, and the sheet (nearly, as it has lost details), for two weights."""
    record = json.loads((DOCS / "compass" / "record.json").read_text(encoding="utf-8"))
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    monkeypatch.setattr(compass, "WEIGHTS", [0.0, 2.0])
    runs = [compass.run(pipe, weight) for weight in compass.WEIGHTS]
    columns = [record["weights"].index(weight) for weight in compass.WEIGHTS]
    for index, told in enumerate(record["runs"]):
        found = compass.told(pipe, runs, index)
        assert np.allclose(found["velocities"], [told["velocities"][k] for k in columns], atol=2e-3), told["caption"]
        assert found["fits"] == [told["fits"][k] for k in columns]
        with Image.open(DOCS / "compass" / f"{index}.webp") as sheet:
            kept = np.hstack([np.asarray(sheet.convert("RGB"))[:, 48 * k : 48 * k + 48] for k in columns])
        assert np.abs(np.asarray(compass.sheet(pipe, runs, index)) - kept.astype(float)).mean() < 5


def test_the_scripts_are_compared_with_what_python_says_today():
    computed = runpy.run_path(str(DOCS.parent / "tests" / "js" / "fixture.py"))["computed"]()
    kept = json.loads((DOCS.parent / "tests" / "js" / "fixture.json").read_text(encoding="utf-8"))
    assert_close(json.loads(json.dumps(computed)), kept)


def assert_close(found: Any, expected: Any) -> None:
    """Two trees of lists and dicts are the same but for the last digits of their numbers."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            assert_close(found[key], expected[key])
    elif isinstance(expected, str):
        assert found == expected
    else:
        assert np.allclose(found, expected, atol=1e-5)


def test_the_tables_of_the_museum_mark_what_was_caught():
    """A mark stands in the row of a law and in the column of a bug if, and only if, this law catches this bug."""
    record = json.loads((DOCS / "museum.json").read_text(encoding="utf-8"))
    tables = (DOCS / "museum.md").read_text(encoding="utf-8").split("## Which law catches")[1].split("**In `")[1:]
    marked = [pair for table in tables for pair in marks(table)]
    assert len(marked) == len(set(marked))
    assert set(marked) == {(law.split("::")[-1], name) for name, laws in record.items() for law in laws}


def marks(table: str) -> list[tuple[str, str]]:
    """The laws and the bugs that a table joins by a mark."""
    head, _, *rows = [line.split(" | ") for line in table.splitlines() if line.startswith("|")]
    bugs = [re.search(r"#(\w+)\)", cell)[1] for cell in head[1:]]
    laws = [re.search(r"#(\w+)\)", row[0])[1] for row in rows]
    return [
        (law, bug)
        for law, row in zip(laws, rows, strict=True)
        for bug, cell in zip(bugs, row[1:], strict=True)
        if "●" in cell
    ]


def test_the_exhibits_are_numbered_as_they_stand():
    """The tables name a bug by its number, so the headings count 1, 2, 3 ... down the page."""
    museum = (DOCS / "museum.md").read_text(encoding="utf-8")
    shown = re.findall(r"^### (\d+)\. .*\{ #(\w+) \}$", museum, re.MULTILINE)
    assert [int(number) for number, _ in shown] == list(range(1, len(shown) + 1))
    assert {name for _, name in shown} == set(json.loads((DOCS / "museum.json").read_text(encoding="utf-8")))
    assert [f"[{number} {name}](#{name})" for number, name in shown] == re.findall(r"\[\d+ \w+\]\(#\w+\)", museum)


def test_every_exhibit_shows_its_picture_or_says_why_not():
    record = json.loads((DOCS / "museum-pictures.json").read_text(encoding="utf-8"))["exhibits"]
    drawn = {path.stem for path in (DOCS / "pictures" / "museum").glob("*.webp")} - {"right"}
    assert set(record) == set(json.loads((DOCS / "museum.json").read_text(encoding="utf-8")))
    assert {name for name, apart in record.items() if apart["latents"] is not None} <= drawn


def test_every_figure_is_told_in_words_and_follows_the_page():
    for path in (DOCS / "figures" / "out").glob("*.svg"):
        told = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        assert len(told["alt"]) > 20, path.name
        assert len(told["caption"]) > 40, path.name
        assert "currentColor" in path.read_text(encoding="utf-8"), path.name


def test_every_figure_is_shown_somewhere():
    text = "".join(path.read_text(encoding="utf-8") for path in DOCS.glob("*.md"))
    assert not [p.stem for p in (DOCS / "figures" / "out").glob("*.svg") if f'figure("{p.stem}")' not in text]


def test_every_chapter_asks_its_reader_something():
    chapters = re.search(r"- 1 The idea:(.*?)- Notebooks:", (DOCS.parent / "mkdocs.yml").read_text(), re.DOTALL)
    for name in re.findall(r"([\w-]+)\.md", chapters[1]):
        text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
        assert text.count("??? question") >= 3, name


def test_every_page_that_explains_names_a_law_that_holds_it():
    core = ("flow", "solvers", "training", "guidance", "uvit", "time", "prompt", "cache", "loop", "numerics")
    for name in (*core, "released"):
        assert "{{ law(" in (DOCS / f"{name}.md").read_text(encoding="utf-8"), name


SOMEBODY = ("-c", "user.name=somebody", "-c", "user.email=somebody@localhost")
COMMIT = r"commit [0-9a-f]{7,} of \d{4}-\d\d-\d\d"


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A small checkout with a commit, from which the pages seem to be built."""
    (folder := tmp_path / "checkout" / "docs" / "macros").mkdir(parents=True)
    checkout = folder.parent.parent
    for name in ("pyproject.toml", ".gitattributes"):
        shutil.copy(DOCS.parent / name, checkout)
    (folder / "commit.txt").write_text("$Format:commit %h of %cs$\n", encoding="utf-8")  # as an archive finds it
    for command in (("init",), ("add", "."), (*SOMEBODY, "commit", "--message", "theirs")):
        git(checkout, *command)
    monkeypatch.setattr(built, "ROOT", checkout)
    return checkout


def test_a_clean_checkout_names_its_commit(checkout, monkeypatch):
    assert re.fullmatch(COMMIT, built.built_from())
    assert f"note    = {{{built.built_from()}}}" in built.bibtex()
    assert f"from **{built.built_from()}**." in built.what_to_cite()
    monkeypatch.setenv("PATH", "")  # no git on this machine
    assert built.built_from() == ""


def test_changes_that_no_commit_holds_are_not_cited(checkout):
    """Whoever looked up the commit would find other pages."""
    (checkout / "pyproject.toml").write_text((checkout / "pyproject.toml").read_text() + "\n", encoding="utf-8")
    assert built.built_from().endswith(", with changes that are not committed")
    assert "note" not in built.bibtex()
    assert "commit the changes" in built.what_to_cite()


def test_an_archive_of_git_names_the_commit_that_it_was_made_from(checkout, monkeypatch):
    told = built.built_from()
    git(checkout, "archive", "--output", "archive.zip", "HEAD")
    shutil.unpack_archive(checkout / "archive.zip", unpacked := checkout.parent / "unpacked")
    monkeypatch.setattr(built, "ROOT", unpacked)
    assert built.built_from() == told
    assert told in built.bibtex()


def test_files_without_a_history_name_no_commit(checkout, monkeypatch):
    """They were copied, perhaps into a folder that has a history of its own."""
    (copied := checkout / "copied").mkdir()
    shutil.copytree(checkout / "docs", copied / "docs")
    shutil.copy(checkout / "pyproject.toml", copied)
    monkeypatch.setattr(built, "ROOT", copied)
    assert built.built_from() == ""
    assert "note" not in built.bibtex()
    assert "without a history" in built.what_to_cite()


def test_the_page_of_the_scorer_resamples_as_the_pages_do(monkeypatch, capsys):
    """What the reader runs prints the interval that stands beside it."""
    (snippet,) = re.findall(
        r"^```python\n(import json.*?)^```", (DOCS / "scorer.md").read_text(), re.MULTILINE | re.DOTALL
    )
    monkeypatch.chdir(DOCS.parent)
    exec(snippet, {})
    told = [float(number) for number in re.findall(r"\d\.\d+", capsys.readouterr().out)]
    shown = resampled("figures/data/solver-shift-1.json", "midpoint", "16", "each")
    assert np.allclose(told[1:], [float(end) for end in shown.split(" to ")], atol=5e-3)
    assert told[0] == round(read("figures/data/solver-shift-1.json", "midpoint", "16", "mean"), 3)


@pytest.mark.parametrize(
    ("interval", "draw", "number"),
    [(bootstrap, "standard_normal", 40), (bootstrap, "standard_exponential", 40), (student, "standard_normal", 3)],
)
def test_an_interval_of_95_percent_holds_the_true_mean_about_as_often(interval, draw, number):
    """Of 300 samples. The bootstrap of values with a long tail may miss a little more often."""
    samples = getattr(np.random.default_rng(0), draw)((300, number))
    truth = 1.0 if draw == "standard_exponential" else 0.0
    ends = np.array([interval(sample) for sample in samples])
    assert 0.9 <= np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1])) <= 0.98


def test_each_distance_of_a_mean_is_kept():
    """An interval that is made of other values than the mean beside it would say nothing."""
    for name in ("solver-shift-1", "solver-shift-2", "solver-shift-3"):
        found = read(f"figures/data/{name}.json")
        for told in (told for runs in found.values() if isinstance(runs, dict) for told in runs.values()):
            assert len(told["each"]) == found["captions"]
            assert np.isclose(np.mean(told["each"]), told["mean"], rtol=1e-4)
    for told in (told for ways in read("figures/data/solver-endpoints.json").values() for told in ways.values()):
        assert np.isclose(np.mean(told["each"]), told["mean"], rtol=1e-4)
    for told in read("figures/data/guidance-weights.json").values():
        assert not isinstance(told, dict) or np.isclose(np.mean(told["each"]), told["norm"], rtol=1e-3)


def test_the_interval_of_three_seeds_is_the_one_that_the_page_makes_by_hand():
    told = read("alignment.json", "difference", "aligned", "loss")
    by_hand = [told["mean"] + sign * 4.303 * told["std"] / 3**0.5 for sign in (-1, 1)]
    shown = of_seeds("alignment.json", "aligned", "without", "loss")
    assert np.allclose([float(end) for end in shown.split(" to ")], by_hand, rtol=0.05)


def test_the_estimate_for_a_gpu_is_limited_by_arithmetic():
    """The pages say that reading the weights takes less time than the arithmetic, on every device that they name."""
    work = read("figures/data/speed.json", "20", "TFLOP a step")
    assert all(work / rate > float(bytes_a_step()) / bandwidth for rate, bandwidth in DEVICES.values())
    assert estimated_seconds(100) == "1.9 to 3.7"  # 93 / 50 and 93 / 25, as the page computes by hand


def test_the_time_of_a_page_counts_what_is_read():
    """Listings and drawings are looked at, and what a macro writes is one number."""
    assert words('One {{ number("a.json", "b") }} <b>two</b> {{ law("f", "t") }} {{ figure("f") }} three.') == 4
    assert len(chapters(1, 2)) == 12
    assert chapters(1)[0] == "one-picture"


def test_the_memory_to_have_exceeds_what_was_counted_and_measured():
    found = json.loads(RECORD.read_text(encoding="utf-8"))
    for way, advice in ADVICE.values():
        assert advice > max(found["released"][way]["sum"], float(save_peak(way))), way
    assert ADVICE["--lora 16"][1] > found["step, released"]["peak"] / 1e9


def public_functions() -> list[tuple[str, ast.FunctionDef | ast.ClassDef]]:
    """Every public function and class of the package, where it is defined."""
    found = []
    for module in pkgutil.walk_packages([str(PACKAGE)], "janus_minimal."):
        source = PACKAGE.parent / (module.name.replace(".", "/") + ".py")
        if source.exists() and source.parent.name != "cli" and source.name != "__main__.py":
            nodes = ast.parse(source.read_text(encoding="utf-8")).body
            defined = [node for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
            found += [(f"{module.name}.{node.name}", node) for node in defined if not node.name.startswith("_")]
    return found


def public_names() -> list[str]:
    return [name for name, _ in public_functions()]


def raised(function: ast.FunctionDef) -> set[str]:
    """The errors that a function makes itself."""
    raises = [node for node in ast.walk(function) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
    return {node.exc.func.id for node in raises}


def test_the_command_line_is_told_as_it_is():
    """Every command that a page shows exists."""
    shown = {
        command
        for path in [*DOCS.glob("*.md"), DOCS.parent / "README.md"]
        for command in re.findall(r"janus-minimal ([a-z]+)", path.read_text(encoding="utf-8"))
    }
    commands = {command.callback.__name__ for command in app.registered_commands if command.callback}
    assert shown
    assert shown <= commands <= {path.stem for path in (PACKAGE / "cli").glob("*.py")}
