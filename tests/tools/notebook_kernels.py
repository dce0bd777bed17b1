"""Kernels for notebooks, each forked from a process that has imported the large libraries.

A kernel that starts as usual imports torch, transformers and matplotlib for seven seconds of a core. A fork has them
already, and has not imported the package yet.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # kernels of several test processes share the cores

from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import KernelProvisionerBase
from tools.tour import forkserver

NEEDED = ("ipykernel.kernelapp", "ipywidgets", "matplotlib.pyplot", "matplotlib_inline.backend_inline")


class Fork(KernelProvisionerBase):
    """Starts a kernel as a fork, and is asked about it as about any process."""

    process: BaseProcess | None = None

    @property
    def has_process(self) -> bool:
        return self.process is not None

    async def pre_launch(self, **options: Any) -> dict[str, Any]:
        """Write the file that tells the kernel which ports to open."""
        self.parent.write_connection_file()
        return await super().pre_launch(cmd=[], **options)

    async def launch_kernel(self, cmd: list[str], **options: Any) -> dict[str, Any]:
        arguments = (self.parent.connection_file, options["cwd"], dict(options["env"]))
        self.process = forkserver(*NEEDED).Process(target=_kernel, args=arguments, daemon=True)
        self.process.start()
        return self.parent.get_connection_info()

    async def poll(self) -> int | None:
        return None if self.process is None else self.process.exitcode

    async def wait(self) -> int | None:
        while self.process and self.process.exitcode is None:
            await asyncio.sleep(0.05)
        return await self.poll()

    async def send_signal(self, signum: int) -> None:
        if self.process and self.process.pid:
            os.kill(self.process.pid, signum)

    async def terminate(self, restart: bool = False) -> None:
        if self.process:
            self.process.terminate()

    async def kill(self, restart: bool = False) -> None:
        if self.process:
            self.process.kill()

    async def cleanup(self, restart: bool = False) -> None:
        self.process = None


class Kernels(AsyncKernelManager):
    """Starts kernels as forks."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.provisioner = Fork(parent=self, kernel_spec=self.kernel_spec)


def _kernel(connection_file: str, folder: str, environment: Mapping[str, str]) -> None:
    """Be a kernel until it is shut down."""
    os.chdir(folder)
    os.environ.update(environment, JPY_PARENT_PID=str(os.getppid()))  # it ends when its parent does
    _forget_bars()
    from ipykernel.kernelapp import IPKernelApp

    IPKernelApp.launch_instance(["-f", connection_file, "--HistoryManager.hist_file=:memory:"])


def _forget_bars() -> None:
    """Let tqdm choose its kind of bar anew: it chose when it was imported, and not in a notebook."""
    for name in ("tqdm.auto", "tqdm.autonotebook"):
        sys.modules.pop(name, None)
