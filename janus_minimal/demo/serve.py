"""Serve the page until somebody stops it, on this machine alone unless more is asked for."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from janus_minimal.demo.page import CSS, build_page
from janus_minimal.errors import InputError
from janus_minimal.pipeline import JanusFlowPipeline


@contextmanager
def serving(pipe: JanusFlowPipeline, checkpoint: str, host: str, port: int) -> Iterator[str]:
    """Serve the page of a model while the context lasts, and give its address.

    Args:
        pipe: what draws.
        checkpoint: its name, to be shown. Of the bundled one, example prompts are known.
        host: the address to listen at. "127.0.0.1" is reached from this machine only.
        port: the port to listen at.

    Raises:
        InputError: if nobody can listen there, say because another program does.
    """
    page = build_page(pipe, checkpoint)
    system = ("system-ui", "sans-serif")
    theme = gr.themes.Default(font=system, font_mono=("ui-monospace", "monospace"))
    try:
        with _silent("uvicorn.error"):  # what is wrong, we say
            _, address, _ = page.launch(
                server_name=f"[{host}]" if ":" in host else host,  # as in an address, of IPv6
                server_port=port,
                share=False,
                prevent_thread_lock=True,
                quiet=True,
                footer_links=[],
                ssr_mode=False,
                theme=theme,
                css=CSS,
            )
    except OSError:
        raise InputError(
            f"cannot listen at {host}, port {port}: expected an address of this machine, "
            "and a --port that no other program uses"
        ) from None
    try:
        yield address
    finally:
        page.close(verbose=False)


@contextmanager
def _silent(name: str) -> Iterator[None]:
    """Let a logger say nothing. Its level would not last: the library sets it when it begins."""
    logger = logging.getLogger(name)
    logger.addFilter(_nothing)
    try:
        yield
    finally:
        logger.removeFilter(_nothing)


def _nothing(record: logging.LogRecord) -> bool:
    return False
