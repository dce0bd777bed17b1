"""Editing: what is kept is kept exactly, and the rest is an ordinary drawing."""

import os
from inspect import signature
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image
from tools.damaged_png import chunk, write_png
from tools.drawn import normal

from janus_minimal import PromptPair, Step, denoise, time_grid
from janus_minimal.editing import enter_late, only_inside
from janus_minimal.errors import InputError
from janus_minimal.jobs.request import Request
from janus_minimal.loading.picture import read_mask, read_picture, to_rgb
from janus_minimal.loading.vae import encode_mask, encode_picture, to_pictures
from janus_minimal.pipeline import image_noise
from janus_minimal.shapes.render import render
from janus_minimal.shapes.scene import Thing
from janus_minimal.solvers import SOLVERS

SHAPE = (4, 12, 12)
SCENE = (Thing("red", "star", 15, 26, 13), Thing("purple", "cross", 35, 15, 11))


@pytest.fixture(scope="module")
def star(pipe):
    return PromptPair.from_text("a star", pipe.tokenizer)


@pytest.fixture(scope="module")
def picture():
    return Image.fromarray(render(SCENE))


def test_strength_says_at_which_time_the_path_is_entered():
    """times 0, 1/4, 1/2, 3/4, 1, strength 1/2  =>  z = n / 2 + x / 2, times 1/2, 3/4, 1; 0.7 enters at 1/4, 0.6 at 1/2.

    Noise and times must belong together: a latent that is noisier than its time says is drawn badly.
    """
    latent, noise, times = normal(0, 2, *SHAPE), normal(1, 2, *SHAPE), torch.tensor([0, 0.25, 0.5, 0.75, 1])
    z, rest = enter_late(latent, noise, times, 0.5)
    torch.testing.assert_close(z, noise / 2 + latent / 2)
    assert rest.tolist() == [0.5, 0.75, 1]
    z, rest = enter_late(latent, noise, times, 0.7)
    torch.testing.assert_close(z, 0.75 * noise + 0.25 * latent)
    assert rest.tolist() == [0.25, 0.5, 0.75, 1]
    assert enter_late(latent, noise, times, 0.6)[1].tolist() == [0.5, 0.75, 1]


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan"), "half", None, True])
def test_a_strength_beyond_zero_and_one_is_refused(unchecked, strength):
    """Not 0 <= strength <= 1  =>  InputError.

    No time of the path belongs to such a strength.
    """
    with pytest.raises(InputError, match=r"^the strength is .*: expected a finite number from 0 to 1$"):
        enter_late(normal(0, 1, *SHAPE), normal(1, 1, *SHAPE), time_grid(4), strength)


@pytest.mark.parametrize("name", SOLVERS)
def test_the_known_part_stays_on_its_line_with_every_solver(pipe, star, name):
    """Outside of the mask, z_k = (1 - t_k) n + t_k x after every step.

    The network then sees surroundings that are as noisy as training showed them at this time. A late entry begins
    nearer to x than at n, and each image may have a mask of its own.
    """
    latent, noise, mask = normal(0, 2, *SHAPE), normal(1, 2, *SHAPE), normal(2, 2, 1, 12, 12) > 0
    kept, two_stars = ~mask.expand_as(latent), PromptPair.from_text("a star", pipe.tokenizer, 2)
    z, times = enter_late(latent, noise, time_grid(4), 0.75)
    for step in only_inside(mask, latent, noise, SOLVERS[name])(pipe.model, two_stars, z, times, 2.0):
        t = step.t_next.item()
        torch.testing.assert_close(step.z_next[kept], ((1 - t) * noise + t * latent)[kept])
    assert torch.equal(step.z_next[kept], latent[kept])


@pytest.mark.parametrize("name", SOLVERS)
def test_with_everything_masked_inpainting_is_drawing(pipe, star, name):
    """mask = True everywhere  =>  the solver's own steps, with the weight that is asked for.

    The wrapper must not change what it does not keep.
    """
    noise, everywhere = normal(1, 1, *SHAPE), torch.ones(1, 1, 12, 12, dtype=torch.bool)
    solver = only_inside(everywhere, normal(0, 1, *SHAPE), noise, SOLVERS[name])
    *_, found = solver(pipe.model, star, noise, time_grid(3), 3.5)
    *_, expected = SOLVERS[name](pipe.model, star, noise, time_grid(3), 3.5)
    assert torch.equal(found.z_next, expected.z_next)


SOMEWHERE = torch.zeros(1, 1, 12, 12) > 0


@pytest.mark.parametrize(
    "mask", [SOMEWHERE.float(), SOMEWHERE[0], SOMEWHERE[..., :6], SOMEWHERE.repeat(3, 1, 1, 1), None]
)
def test_a_mask_says_yes_or_no_at_each_place(unchecked, mask):
    """mask: bool [1 or B, 1, H, W]; else InputError before the first step.

    A mask of 0.0 and 1.0 is made most easily, and torch refuses it in the middle of the loop.
    """
    with pytest.raises(InputError, match=r"the mask is .*: expected \[1, 1, 12, 12\], torch\.bool"):
        only_inside(mask, normal(0, 2, *SHAPE), normal(1, 2, *SHAPE))
    only_inside(SOMEWHERE.repeat(2, 1, 1, 1), normal(0, 2, *SHAPE), normal(1, 2, *SHAPE))


@pytest.mark.parametrize("latent", [torch.zeros(2, *SHAPE), torch.zeros(SHAPE), None])
def test_an_edit_is_of_one_latent(unchecked, pipe, latent):
    """Request.edit: one latent [1, c, H, W]; else InputError.

    It is the picture that all images begin with.
    """
    with pytest.raises(InputError, match=r"latents .*: expected"):
        Request("a star", steps=2, num_images=2).edit(pipe, latent, SOMEWHERE, 1.0)


def test_a_picture_is_edited_on_the_device_where_it_is(unchecked):
    """enter_late and only_inside: a latent or a run on another device than noise, mask and times  =>  z is there.

    Noise, masks and times are made on the CPU. The meta device stands in for a GPU. Euler's is the solver inside.
    """
    latent, noise, z = normal(0, 1, *SHAPE), normal(1, 1, *SHAPE), torch.zeros(1, *SHAPE, device="meta")
    for start in (noise, noise.to("meta")):
        found, rest = enter_late(z, start, time_grid(4), 0.5)
        assert (found.device.type, rest.device.type) == ("meta", "cpu")

    def solver(model, prompt, z, times, weight):
        yield Step(0, times[0], times[1], z, z, z, z, z)

    (step,) = only_inside(SOMEWHERE, latent, noise, solver)(None, None, z, time_grid(1))
    assert step.z_next.device.type == "meta"
    assert signature(only_inside).parameters["solver"].default is denoise


def test_the_caller_may_change_the_step_after_the_mask(pipe, star):
    """step.z_next := x after only_inside  =>  the next step begins at x.

    A wrapper that hides the extension point could not be wrapped itself.
    """
    noise, mask = normal(1, 1, *SHAPE), torch.zeros(1, 1, 12, 12, dtype=torch.bool)
    steps = only_inside(mask, normal(0, 1, *SHAPE), noise, denoise)(pipe.model, star, noise, time_grid(3), 2.0)
    next(steps).z_next = torch.ones_like(noise)
    assert torch.equal(next(steps).z, torch.ones_like(noise))


def test_an_edit_keeps_what_is_outside_of_the_mask(pipe, picture):
    """Request.edit: latents = the picture's outside of the mask, exactly, and others inside, for each image.

    This is what inpainting promises, whatever the strength.
    """
    latent, mask = encode_picture(pipe.vae, picture, 48), torch.zeros(1, 1, 12, 12, dtype=torch.bool)
    mask[..., 6:] = True
    for strength in (1.0, 0.5):
        found = Request("a star", steps=4, num_images=2).edit(pipe, latent, mask, strength)
        assert torch.equal(found[..., :6], latent[..., :6].expand(2, -1, -1, -1))
        assert not torch.isclose(found[..., 6:], latent[..., 6:], atol=1e-6).any()
        assert not torch.equal(found[0], found[1])


@pytest.mark.parametrize("strength", [1.0, 0.8])
def test_an_edit_is_a_late_entry_into_a_masked_drawing(pipe, picture, strength):
    """Request.edit = enter_late, then only_inside, with all settings; all masked, with strength 1, it is draw.

    A setting that did not arrive would draw another picture, and the mask would still be respected.
    """
    request = Request("a star", steps=3, cfg_weight=3.5, num_images=1, seed=5, solver="midpoint", shift=2.0)
    latent, mask = encode_picture(pipe.vae, picture, 48), normal(2, 1, 1, 12, 12) > 0
    noise = image_noise(SHAPE, 1, request.generators())
    z, rest = enter_late(latent, noise, time_grid(3, shift=2.0), strength)
    solver, prompt = SOLVERS["midpoint"], PromptPair.from_text("a star", pipe.tokenizer)
    *_, last = only_inside(mask, latent, noise, solver)(pipe.model, prompt, z, rest, 3.5)
    assert torch.equal(request.edit(pipe, latent, mask, strength), last.z_next)
    if strength == 1:
        everywhere = torch.ones_like(mask)
        assert torch.equal(request.edit(pipe, latent, everywhere, 1.0), request.draw(pipe, progress=False))


def test_a_mask_marks_every_place_that_it_touches(pipe):
    """White pixels in rows 9 to 15 and column 7  =>  the places in rows 2, 3 and column 1.

    One place of the latent stands for 4 x 4 pixels. What is white must be free to change.
    """
    white = np.zeros((48, 48), dtype=np.uint8)
    white[9:16, 7] = 255
    expected = torch.zeros(12, 12, dtype=torch.bool)
    expected[2:4, 1] = True
    assert torch.equal(encode_mask(pipe.vae, Image.fromarray(white), 48)[0, 0], expected)
    spot = Image.new("L", (4800, 4800))
    spot.putpixel((2401, 1201), 255)  # one of the 160,000 pixels of its place
    assert encode_mask(pipe.vae, spot, 48)[0, 0].nonzero().tolist() == [[3, 6]]


def test_a_mask_is_cut_as_its_picture_is(pipe):
    """The white part of a wide mask  =>  the places where a picture that is coloured there has colour.

    Mask and picture are resized and cut alike, or the mask would slide away from what it covers.
    """
    painted, white = np.full((96, 144, 3), 255, dtype=np.uint8), np.zeros((96, 144), dtype=np.uint8)
    painted[32:64, 96:120], white[32:64, 96:120] = (220, 30, 30), 255
    mask = encode_mask(pipe.vae, Image.fromarray(white), 48)[0, 0]
    pixels = to_pictures(pipe.vae, encode_picture(pipe.vae, Image.fromarray(painted), 48), "np")[0]
    coloured = torch.from_numpy(pixels[..., 1] < 0.5).unfold(0, 4, 4).unfold(1, 4, 4).float().mean(dim=(-1, -2)) > 0.5
    assert torch.equal(mask, coloured)


@pytest.mark.parametrize(("grey", "marked"), [(0, 0), (1, 0), (5, 0), (127, 0), (128, 1), (250, 1), (255, 1)])
def test_a_grey_counts_as_the_nearer_of_black_and_white(pipe, grey, marked):
    """grey < 127.5 marks nothing, grey > 127.5 marks its place; a pixel beside it is white in any case.

    A mask that was saved as JPEG has nearly black pixels everywhere. If they counted, all would be drawn anew.
    """
    mask = Image.new("L", (48, 48), grey)
    mask.putpixel((0, 0), 255)
    assert encode_mask(pipe.vae, mask, 48).sum() == (144 if marked else 1)


def test_a_mask_is_seen_as_a_viewer_shows_it(pipe):
    """transparent = white, also over black; a mask that is stored turned is turned upright.

    A picture is read in the same way, so its mask covers what its maker saw.
    """
    clear = Image.new("RGBA", (48, 48), "black")
    clear.paste((0, 0, 0, 0), (0, 0, 24, 12))
    expected = torch.zeros(12, 12, dtype=torch.bool)
    expected[:3, :6] = True
    assert torch.equal(encode_mask(pipe.vae, clear, 48)[0, 0], expected)
    turned = clear.transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[0x0112] = 6  # orientation: turn by 90 degrees clockwise to see it upright
    assert torch.equal(encode_mask(pipe.vae, turned, 48)[0, 0], expected)


def test_a_black_mask_is_refused(pipe):
    """encode_mask(black)  =>  InputError.

    Nothing would be drawn. Most likely black and white are exchanged.
    """
    with pytest.raises(InputError, match="expected white"):
        encode_mask(pipe.vae, Image.new("L", (48, 48)), 48)


def test_what_is_no_picture_is_refused(tmp_path, picture):
    """Text, half a PNG, a FIFO, PostScript, a BMP, nothing, a mask of another size  =>  InputError.

    A FIFO would be waited for, and for PostScript Pillow starts another program.
    """
    picture.save(tmp_path / "whole.png")
    for kind in ("eps", "bmp"):
        picture.save(tmp_path / f"drawing.{kind}")
    (tmp_path / "text.png").write_text("a red circle")
    (tmp_path / "half.png").write_bytes((tmp_path / "whole.png").read_bytes()[:200])
    os.mkfifo(tmp_path / "fifo.png")
    assert read_picture(tmp_path / "whole.png").size == (48, 48)
    for name in ("drawing.eps", "drawing.bmp", "text.png", "half.png", "fifo.png", "nothing.png"):
        with pytest.raises(InputError, match=f"{name} holds no picture.*expected a PNG"):
            read_picture(tmp_path / name)
    for size in ((48, 10), (20, 48)):
        Image.new("L", size, 255).save(tmp_path / "small.png")
        with pytest.raises(InputError, match=f"{size[0]} x {size[1]} pixels: expected the picture's 48 x 48"):
            read_mask(tmp_path / "small.png", picture)


DAMAGED = {
    "short gamma": {"after": chunk(b"gAMA", b"\0")},
    "short white point": {"after": chunk(b"cHRM", b"\0" * 5)},
    "empty profile": {"after": chunk(b"iCCP", b"\0")},
    "text that is called transparency": {"before": chunk(b"tEXt", b"transparency\0none")},
}


@pytest.mark.parametrize("mode", ["RGB", "P", "L"])
@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_chunk_is_one_line(pipe, tmp_path, damage, mode):
    """A PNG with a chunk that Pillow stumbles over  =>  InputError, from the file or for the picture in memory.

    Pillow raises struct.error, IndexError, TypeError or ValueError, which differ from version to version.
    """
    write_png(tmp_path / "odd.png", mode=mode, **DAMAGED[damage])
    with pytest.raises(InputError, match=r"holds no picture: \S.*expected a PNG|colours are damaged \(\S"):
        encode_picture(pipe.vae, read_picture(tmp_path / "odd.png"), 48)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_the_three_kinds_of_pictures_are_read(tmp_path, kind):
    """read(PNG), read(JPEG), read(WebP): the picture, nearly or to the bit.

    These are the kinds that cameras, phones and web pages give. The help names them.
    """
    Image.new("RGB", (48, 32), (200, 40, 40)).save(tmp_path / f"picture.{kind}")
    found = np.asarray(read_picture(tmp_path / f"picture.{kind}"), dtype=int)
    assert found.shape == (32, 48, 3)
    assert np.abs(found - (200, 40, 40)).max() <= 6


@pytest.mark.parametrize("error", [OSError, ValueError, SyntaxError, Image.DecompressionBombError])
def test_whatever_pillow_raises_is_one_line(tmp_path, picture, monkeypatch, error):
    """an error of Pillow while it decodes a file  =>  InputError, which names the file.

    A PNG with a broken chunk is a SyntaxError, other files are a ValueError.
    """
    picture.save(tmp_path / "picture.png")
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", Mock(side_effect=error("broken")))
    with pytest.raises(InputError, match=r"picture\.png holds no picture: .*broken"):
        read_picture(tmp_path / "picture.png")


@pytest.mark.parametrize(
    "place", ["PngImagePlugin.PngImageFile.load", "ImageOps.exif_transpose", "Image.Image.convert"]
)
def test_a_full_memory_is_no_fault_of_the_picture(tmp_path, picture, monkeypatch, place):
    """MemoryError while Pillow decodes, turns or converts  =>  MemoryError, which the command line explains.

    Whoever reads that the picture is damaged looks for a fault that it does not have.
    """
    picture.save(tmp_path / "picture.png")
    monkeypatch.setattr(f"PIL.{place}", Mock(side_effect=MemoryError))
    with pytest.raises(MemoryError):
        to_rgb(read_picture(tmp_path / "picture.png"))


@pytest.mark.parametrize("alpha", [0, 1, 64, 128, 200, 255])
def test_a_pixel_that_is_half_transparent_is_mixed_with_white(alpha):
    """rgb = (alpha colour + (255 - alpha) white) / 255, for every alpha.

    Soft edges and shadows are half-transparent. Cut at one half, they become jagged.
    """
    found = np.asarray(to_rgb(Image.new("RGBA", (4, 4), (200, 0, 100, alpha))), dtype=float)
    expected = (alpha * np.array([200, 0, 100]) + (255 - alpha) * 255) / 255
    assert np.abs(found - expected).max() <= 1


def test_a_picture_of_too_many_pixels_is_not_decoded(tmp_path, picture, monkeypatch):
    """A file that unfolds to more than twice Pillow's limit  =>  InputError in one line.

    Such a picture has some kilobytes, and would fill the memory. Pillow's error is none of the usual kinds.
    """
    picture.save(tmp_path / "picture.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # the picture has 2,304
    with pytest.raises(InputError, match=r"picture\.png holds no picture: .*exceeds limit of 2000 pixel"):
        read_picture(tmp_path / "picture.png")


def test_a_mask_is_compared_with_the_picture_as_it_is_seen(tmp_path):
    """size(picture that is stored turned) = its size upright, and so a mask of that size fits.

    Whoever draws a mask of a phone's photo sees the photo upright.
    """
    turned = Image.new("RGB", (20, 10))
    turned.getexif()[0x0112] = 6  # orientation: turn by 90 degrees clockwise to see it upright
    turned.save(tmp_path / "photo.jpg", exif=turned.getexif())
    Image.new("L", (10, 20), 255).save(tmp_path / "mask.png")
    assert read_picture(tmp_path / "photo.jpg").size == (10, 20)
    assert read_mask(tmp_path / "mask.png", read_picture(tmp_path / "photo.jpg")).size == (10, 20)


def test_a_mask_larger_than_the_model_marks_all_that_is_white(pipe):
    """One white row of 480 in a mask  =>  its row of places, as in a mask of the model's own size.

    A mask is drawn at the size of its picture. A thin line would vanish if it were averaged before it is read.
    """
    white = np.zeros((480, 480), dtype=np.uint8)
    white[95] = 255
    marked = encode_mask(pipe.vae, Image.fromarray(white), 48)[0, 0]
    assert marked[2].all()
    assert marked.sum() == 12


def test_a_strength_that_draws_nothing_is_refused(pipe, picture):
    """strength below half of the last step  =>  InputError; strength 0  =>  the latent itself.

    Otherwise the picture would come back unchanged, as if the prompt had no effect.
    """
    latent, everywhere = encode_picture(pipe.vae, picture, 48), torch.ones(1, 1, 12, 12, dtype=torch.bool)
    request = Request("a star", steps=4, shift=3.0)
    with pytest.raises(InputError, match=r"strength of 0\.2 is less than half of the last of 4 steps"):
        request.edit(pipe, latent, everywhere, 0.2)
    assert request.edit(pipe, latent, everywhere, 0.0).equal(latent.expand(request.num_images, -1, -1, -1))
