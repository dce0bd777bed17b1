"""The script that computes the official numbers anew is right, as far as our modules in the official form can tell."""

import sys

import pytest
from tools.official import PACKAGES, main

UVIT = """
from tools.checkpoints import GOLDEN
from janus_minimal import uvit
from janus_minimal.loading.config_file import read_config

SIZES = read_config(GOLDEN)


class ShallowUViTEncoder(uvit.ShallowUViTEncoder):
    def __init__(self, **params):
        super().__init__(SIZES.encoder)

    def forward(self, z, timestep):
        x_emb, t_emb, skip = super().forward(z, timestep)
        return {factor} * x_emb, t_emb, [skip]


class ShallowUViTDecoder(uvit.ShallowUViTDecoder):
    def __init__(self, **params):
        super().__init__(SIZES.decoder)

    def forward(self, back, skips, t_emb):
        return super().forward(back, t_emb, skips.pop())
"""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the script on a folder that stands for the clone, and return what it prints, as numbers by name."""

    def script(factor: float) -> dict[str, float]:
        folder = tmp_path / "janus" / "janusflow" / "models"
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("raise ImportError('the official package does not load')")
        (folder / "uvit.py").write_text(UVIT.format(factor=factor))
        monkeypatch.setattr(sys, "argv", ["official", str(tmp_path)])
        for name in (*PACKAGES, f"{PACKAGES[-1]}.uvit"):
            monkeypatch.setitem(sys.modules, name, None)  # so that they are gone after the test
            del sys.modules[name]
        main()
        return {name: float(apart) for name, apart in (line.split() for line in capsys.readouterr().out.splitlines())}

    return script


def test_equal_modules_compute_the_stored_numbers(run):
    """Our modules agree with the official ones, so in their place they must give every stored tensor."""
    found = run(1.0)
    assert list(found) == ["enc_x_emb", "enc_t_emb", "dec_out", "loop_w1_v", "loop_w1_z", "loop_w_v", "loop_w_z"]
    assert all(apart < 1e-5 for apart in found.values())


def test_another_encoder_shows(run):
    """An encoder that answers one per cent too much is found, in its own row and in the loop's."""
    found = run(1.01)
    assert found["enc_x_emb"] == pytest.approx(0.01, rel=0.01)
    assert found["loop_w_v"] > 1e-4
    assert found["dec_out"] < 1e-5
