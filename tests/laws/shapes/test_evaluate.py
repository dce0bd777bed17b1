"""The evaluation, tried on a pipeline whose pictures are known to be right or wrong."""

import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from janus_minimal import JanusFlowPipeline
from janus_minimal.cli.write import write_json
from janus_minimal.errors import InputError
from janus_minimal.jobs.identity import identity
from janus_minimal.shapes import evaluate
from janus_minimal.shapes.caption import CATEGORIES, Caption, draw_caption
from janus_minimal.shapes.evaluate import fresh_captions, score_pipeline
from janus_minimal.shapes.examples import draw_example
from janus_minimal.shapes.render import render
from janus_minimal.shapes.report import Answers, Evaluation, read_evaluation, wilson
from janus_minimal.shapes.scene import SIDE

RIGHT = dict(zip(CATEGORIES, (4, 2, 1, 3, 0, 2, 2), strict=True))  # of four pictures each
REPORT = Evaluation(
    categories={name: Answers(["a star"] * 4, [i < k for i in range(4)]) for name, k in RIGHT.items()},
    seed=9,
    steps=11,
    cfg_weight=1.5,
    model="0123456789abcdef",
)


@pytest.fixture
def nameless(monkeypatch):
    """A pipeline that draws without a model has no fingerprint."""
    monkeypatch.setattr(evaluate, "identity", lambda pipe: "none")


class KnownPipeline(JanusFlowPipeline):
    """Draws what it is asked for by the renderer, and an empty picture for the captions whose number `fails`."""

    def __init__(self, fails=lambda number: False):
        self.fails, self.calls, self.texts, self.seeds = fails, [], [], []
        self.model = SimpleNamespace(config=SimpleNamespace(image_size=SIDE))

    def __call__(self, texts, steps, cfg_weight, *, generator, progress):
        self.calls.append((len(texts), steps, cfg_weight, progress))
        pictures = []
        for text, own in zip(texts, generator, strict=True):
            number = len(self.texts)
            scene = () if self.fails(number) else Caption.parse(text).draw(np.random.default_rng(number))
            pictures.append(Image.fromarray(render(scene)))
            self.texts.append(text)
            self.seeds.append(own.initial_seed())
        return SimpleNamespace(images=pictures)


class AnotherPipeline(KnownPipeline):
    """Draws other shapes than it is asked for."""

    def __call__(self, texts, *arguments, **options):
        other = {"circle": "star", "square": "cross", "triangle": "circle", "star": "square", "cross": "triangle"}
        swapped = []
        for text in texts:
            caption = Caption.parse(text)
            kinds = tuple((None, other[shape]) for _, shape in caption.kinds)
            swapped.append(str(Caption(kinds, caption.count, caption.relation)))
        return super().__call__(swapped, *arguments, **options)


@pytest.mark.usefixtures("nameless")
def test_a_score_is_the_share_of_true_pictures_in_its_category(monkeypatch):
    """score(category) = number of pictures of which the caption is true / number of captions.

    The pipeline here draws every picture rightly but the first, second and third of "counting" and the last of
    "position", so the scores are known beforehand.
    """
    monkeypatch.setattr(evaluate, "BATCH", 2)  # so that the last batch is a short one
    first = {name: 5 * i for i, name in enumerate(CATEGORIES)}
    wrong = {first["counting"], first["counting"] + 1, first["counting"] + 2, first["position"] + 4}
    report = score_pipeline(KnownPipeline(wrong.__contains__), 5, 2, 2.0, seed=1)
    expected = dict.fromkeys(CATEGORIES, 1.0) | {"counting": 2 / 5, "position": 4 / 5}
    assert {name: part.share for name, part in report.categories.items()} == pytest.approx(expected)
    assert report.overall == pytest.approx((5 + 0.4 + 0.8) / 7)
    assert (report.seed, report.steps, report.cfg_weight, report.model) == (1, 2, 2.0, "none")


@pytest.mark.usefixtures("nameless")
def test_a_pipeline_that_draws_something_else_scores_zero():
    """A picture of another caption  =>  score 0, in every category.

    The score compares a picture with its own caption. If it compared anything else, this pipeline would do well.
    """
    report = score_pipeline(AnotherPipeline(), 3, 2, 2.0, seed=0)
    assert {part.share for part in report.categories.values()} <= {0.0, 1 / 3}
    assert report.overall < 0.1


def test_an_evaluation_needs_captions(pipe):
    """score_pipeline(0 captions)  =>  InputError.

    The share of nothing is no number.
    """
    with pytest.raises(InputError, match="captions is 0: expected a whole number from 1"):
        score_pipeline(pipe, 0, 1, 2.0, 0)


def test_an_evaluation_needs_pictures_of_the_small_worlds_size():
    """score_pipeline(a model of 96 x 96)  =>  InputError, before anything is drawn.

    The scorer lays drawn outlines over a picture, pixel on pixel. It would fail after minutes.
    """
    large = KnownPipeline()
    large.model.config.image_size = 96
    with pytest.raises(InputError, match="draws pictures of 96 x 96: expected the 48 x 48"):
        score_pipeline(large, 1, 1, 2.0, 0)
    assert not large.calls


@pytest.mark.usefixtures("nameless")
def test_every_picture_has_a_noise_of_its_own_whatever_the_batch(monkeypatch):
    """seed(category, i) != seed(category', j); the same for batches of 2 and of 50; others for another seed.

    Noise that repeats from batch to batch would make the score of 100 captions that of a few noises.
    """
    whole, parts, other = (KnownPipeline(lambda number: True) for _ in range(3))
    score_pipeline(whole, 5, 2, 2.0, seed=1)
    score_pipeline(other, 5, 2, 2.0, seed=2)
    monkeypatch.setattr(evaluate, "BATCH", 2)
    score_pipeline(parts, 5, 2, 2.0, seed=1)
    assert len(set(whole.seeds)) == len(whole.seeds) == 35
    assert parts.seeds == whole.seeds
    assert parts.texts == whole.texts
    assert set(whole.seeds).isdisjoint(other.seeds)
    assert whole.texts != other.texts


@pytest.mark.usefixtures("nameless")
def test_steps_and_weight_reach_the_pipeline_and_the_bar_counts_pictures(monkeypatch):
    """pipe(captions, steps, cfg_weight) in batches; advance(number of pictures) after each batch.

    A score that was measured with other steps than the report says cannot be compared with anything.
    """
    monkeypatch.setattr(evaluate, "BATCH", 3)
    pipe, counted = KnownPipeline(lambda number: True), []
    score_pipeline(pipe, 4, 13, 3.5, 0, counted.append)
    assert pipe.calls == [(3, 13, 3.5, False), (1, 13, 3.5, False)] * 7
    assert counted == [3, 1] * 7


@pytest.mark.parametrize("index", range(7))
def test_fresh_captions_come_from_a_stream_of_their_own(index):
    """captions(category i, seed): those of the random numbers (seed, 3, i); training draws from (seed, 2, number).

    Scores on the captions and scenes of training would measure memory.
    """
    category, rng = CATEGORIES[index], np.random.default_rng((4, 3, index))
    found = fresh_captions(category, 6, seed=4)
    assert found == [draw_caption(category, rng) for _ in range(6)]
    assert found != fresh_captions(category, 6, seed=5)
    assert draw_example(index, 4)[1].bit_generator.seed_seq.entropy == (4, 2, index)


def test_the_captions_of_a_seed_are_the_same_everywhere():
    """captions(category, seed 0) on every machine = those that the published report was asked, all 700 of them.

    A set of strings has another order in every process. Captions that hang on it make two reports that cannot be
    compared, though both name the same seed.
    """
    published = json.loads((Path(__file__).parents[3] / "docs" / "evaluation.json").read_text(encoding="utf-8"))
    for category in CATEGORIES:
        asked = published["categories"][category]["asked"]
        assert [str(caption) for caption in fresh_captions(category, 100, published["seed"])] == asked


def test_the_report_says_what_was_measured():
    """table: one line a category, then the mean; JSON: the same numbers with captions, seed, steps, weight, model.

    The numbers are worked out by hand: (1 + 0.5 + 0.25 + 0.75 + 0 + 0.5 + 0.5) / 7 = 0.5.
    """
    table = REPORT.to_table().splitlines()
    assert table[0].split("|")[1].strip() == "4 captions each, 11 steps, guidance 1.5, seed 9"
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in table[2:]]
    scores = ("1.000", "0.500", "0.250", "0.750", "0.000", "0.500", "0.500")
    assert [row[:2] for row in rows] == [*zip(CATEGORIES, scores, strict=True), ("**overall**", "0.500")]
    intervals = [part.interval for part in REPORT.categories.values()] + [wilson([True] * 14 + [False] * 14)]
    assert [row[2] for row in rows] == [f"{low:.3f} to {high:.3f}" for low, high in intervals]
    assert len({len(line) for line in table}) == 1
    found = json.loads(json.dumps(REPORT.to_dict()))
    assert found["overall"] == 0.5
    counting = found["categories"]["counting"]
    assert (counting["score"], counting["captions"]) == (0.25, 4)
    assert list(found["categories"]) == list(CATEGORIES)
    assert (found["seed"], found["steps"], found["cfg_weight"], found["model"]) == (9, 11, 1.5, "0123456789abcdef")


@pytest.mark.usefixtures("nameless")
def test_the_report_keeps_the_answer_for_each_caption(monkeypatch):
    """right[i] = (picture i shows caption i), in the order of the captions, whatever the batch.

    With a score alone two reports cannot be compared picture by picture.
    """
    monkeypatch.setattr(evaluate, "BATCH", 2)
    wrong = {10, 13, 24}  # of five captions each: the first and the fourth of category 2, the last of category 4
    report = score_pipeline(KnownPipeline(wrong.__contains__), 5, 2, 2.0, seed=1)
    for index, (name, part) in enumerate(report.categories.items()):
        assert part.asked == [str(caption) for caption in fresh_captions(name, 5, seed=1)]
        assert part.right == [5 * index + i not in wrong for i in range(5)]


def test_the_report_names_the_model_and_the_package(pipe):
    """report.model = identity(pipe), the fingerprint of model, VAE and tokenizer; report.version = the package's.

    A file name does not tell which model was scored, and another scorer gives other answers.
    """
    report = score_pipeline(pipe, 1, 1, 2.0, seed=0)
    assert report.model == identity(pipe)
    assert report.version == version("janus-minimal")


def test_every_category_counts_the_same_in_the_score_and_every_picture_in_its_interval():
    """score = mean over the categories of their shares, whatever their sizes; interval = that of all answers together.

    4 of 4 and 0 of 1: the score is 0.5, and not 0.8.
    """
    uneven = {"counting": Answers(["a star"] * 4, [True] * 4), "colours": Answers(["a red star"], [False])}
    found = Evaluation(uneven, 0, 30, 2.0, "mine")
    assert found.overall == 0.5
    assert found.interval == wilson([True] * 4 + [False])
    assert found.title.startswith("4 captions each")
    assert replace(found, categories=dict(reversed(uneven.items()))).title == found.title


def test_a_report_is_read_as_it_was_written(tmp_path):
    """read_evaluation(write(report)) = report, also where an interval differs in its last digits.

    What is compared later is what was measured, and another SciPy may have rounded otherwise.
    """
    report = REPORT.to_dict()
    write_json(tmp_path / "report.json", report)
    assert read_evaluation(tmp_path / "report.json") == REPORT
    low, high = report["interval"]
    write_json(tmp_path / "report.json", report | {"interval": [low + 1e-12, high - 1e-12]})
    assert read_evaluation(tmp_path / "report.json") == REPORT


@pytest.mark.parametrize(
    "damage",
    [
        lambda report: report["categories"]["counting"].pop("right"),
        lambda report: report["categories"]["counting"]["right"].pop(),
        lambda report: report["categories"]["counting"]["right"].append(True),
        lambda report: report["categories"].clear(),
        lambda report: report["categories"].update(counting={"asked": [], "right": []}),
        lambda report: report.pop("model"),
        lambda report: report.update(seed="nine"),
        lambda report: report.update(seed="9"),
        lambda report: report.pop("version"),
        lambda report: report.pop("overall"),
        lambda report: report.update(overall=0.9),
        lambda report: report.update(overall=report["overall"] + 1e-6),
        lambda report: report.update(interval=[report["interval"][0] + 1e-6, report["interval"][1]]),
        lambda report: report.update(version="0.1\x1b[31m"),
        lambda report: report.update(cfg_weight=float("nan")),
        lambda report: report.update(cfg_weight=float("inf")),
        lambda report: report.update(solver="heun"),
        lambda report: report["categories"]["counting"].update(captions=7),
        lambda report: report["categories"]["counting"].update(right=["yes", "no", "no", "no"]),
        lambda report: report.update(model="\x1b[31m0123"),
        lambda report: report["categories"].update({"two\nlines": report["categories"].pop("counting")}),
        lambda report: report["categories"].update({"x" * 1000: report["categories"].pop("counting")}),
    ],
)
def test_a_report_without_its_answers_is_refused_in_one_line(tmp_path, damage):
    """no answer for a caption, no caption, no model, a name that a terminal obeys  =>  InputError.

    Scores alone, as older reports have them, cannot be paired. Nor can a report that does not follow from its answers:
    one that lacks its version would pass for one of this version. The names are printed beside the scores.
    """
    report = json.loads(json.dumps(REPORT.to_dict()))
    damage(report)
    write_json(tmp_path / "report.json", report)
    with pytest.raises(InputError, match=r"holds no answers: .*evaluate --json"):
        read_evaluation(tmp_path / "report.json")


def test_a_report_that_lacks_something_is_told_where(tmp_path):
    """a category without answers  =>  InputError with the whole place, categories.counting.right.

    Each of seven categories has answers of this name.
    """
    report = json.loads(json.dumps(REPORT.to_dict()))
    del report["categories"]["counting"]["right"]
    write_json(tmp_path / "report.json", report)
    with pytest.raises(InputError, match=r"holds no answers: categories\.counting\.right: field required; expected"):
        read_evaluation(tmp_path / "report.json")


@pytest.mark.parametrize(("right", "of"), [(0, 20), (3, 4), (92, 100), (100, 100)])
def test_the_interval_holds_every_share_that_the_answers_do_not_contradict(right, of):
    """Ends p of the interval: |right / n - p| = 1.96 sqrt(p (1 - p) / n), or the share itself at 0 and 1.

    The standard error is that of the true share p, so 100 of 100 do not seem certain.
    """
    for end in wilson([i < right for i in range(of)]):
        error = 1.959964 * (end * (1 - end) / of) ** 0.5
        assert abs(right / of - end) == pytest.approx(error, abs=1e-6)
    low, high = wilson([i < right for i in range(of)])
    assert 0 <= low < high <= 1
    assert low <= right / of <= high


@pytest.mark.usefixtures("nameless")
def test_the_seed_of_a_noise_is_numpys_mixture():
    """seed(s, c, i) = the first word of SeedSequence((s, c, i)).

    Sums or products of the three numbers would give some pictures the same noise.
    """
    pipe = KnownPipeline(lambda number: True)
    score_pipeline(pipe, 2, 1, 2.0, seed=5)
    expected = [int(np.random.SeedSequence((5, c, i)).generate_state(1)[0]) for c in range(7) for i in range(2)]
    assert pipe.seeds == expected
    assert torch.Generator().manual_seed(expected[0]).initial_seed() == expected[0]
