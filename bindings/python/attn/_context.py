"""_context.py - contexts: the library's threads, memory and choice of kernels.

SPDX-License-Identifier: BSD-3-Clause
"""
import ctypes
import threading
import weakref
from typing import Any, Dict, Optional

from ._arrays import integer, word
from ._library import ENGINES, ISAS, OK, Info, Options, Sized, error_of, library, version


class Context:
    """Worker threads, scratch memory and the choice of kernels, for calls one at a time.

    Functions that are given none use one that belongs to the calling thread and is made at its first call.

    threads: how many threads a call may use; 0: one for each CPU that the process may run on.
    isa: the highest instruction set to use, "reference", "avx2", "avx512", "neon" or "amx"; None: the best. Where that
        is AMX, Linux is asked for the tile registers, for the whole process; "avx512" asks for nothing.
    engine: who multiplies matrices, "blas" or "builtin"; None: the library's choice.
    wipe: overwrite the context's memory with zeros before it is given back.

    >>> import attn
    >>> with attn.Context(threads=2, isa="reference") as context:
    ...     context.info()["threads"], context.info()["isa"]
    (2, 'reference')
    """

    def __init__(self, threads: int = 0, isa: Optional[str] = None, engine: Optional[str] = None,
                 wipe: bool = False) -> None:
        handle = ctypes.c_void_p()
        options = Options(threads=integer("threads", threads, 32), isa=word("isa", isa, ISAS),
                          engine=word("engine", engine, ENGINES), wipe=bool(wipe))
        status = library.attn_create(ctypes.byref(handle), ctypes.byref(options))
        if status != OK:
            raise error_of(status, library.attn_last_error(None))
        self._handle = handle
        self._lock = threading.Lock()
        self._destroy = weakref.finalize(self, library.attn_destroy, handle)
        self._destroy.atexit = False  # a daemon thread may still be inside a call

    def close(self) -> None:
        """Ends the threads and frees the memory now, not with the last reference."""
        with self._alone():
            self._destroy()

    def info(self) -> Dict[str, Any]:
        """What it is made of: threads, cpu, cpu_isa, isa, engine, blas, blas_flavor, blas_core, warning."""
        info = Info()
        with self._alone():
            self._check_open()
            status = library.attn_describe(self._handle, ctypes.byref(info))
            if status != OK:
                raise error_of(status, library.attn_last_error(None))
            return info.values()

    def run(self, function: str, *structs: Sized) -> None:
        """Calls a function of the library; for this package's own use."""
        with self._alone():
            self._check_open()
            status = getattr(library, function)(self._handle, *map(ctypes.byref, structs))
            if status != OK:
                raise error_of(status, library.attn_last_error(self._handle))

    def _check_open(self) -> None:
        if not self._destroy.alive:
            raise ValueError("context: expected an open one, got one that was closed")

    def _alone(self) -> "_Alone":
        return _Alone(self._lock)

    def __enter__(self) -> "Context":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        if not self._destroy.alive:
            return "<attn.Context, closed>"
        return f"<attn.Context, {library.attn_description(self._handle).decode()}>"


class _Alone:
    """Holds a context's lock, or refuses as the library does."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise RuntimeError("context: expected one call at a time, got one while another is under way")

    def __exit__(self, *_: object) -> None:
        self._lock.release()


_of_thread = threading.local()


def context_or_default(context: Optional[Context]) -> Context:
    """The context given, or this thread's own."""
    if context is None:
        if not hasattr(_of_thread, "context"):
            _of_thread.context = Context()
        own: Context = _of_thread.context
        return own
    if not isinstance(context, Context):
        raise TypeError(f"context: expected an attn.Context or None, got {type(context).__name__}")
    return context


def show_config(context: Optional[Context] = None) -> None:
    """Prints the library's version and file and what a context (default: this thread's) is made of.

    >>> import attn
    >>> attn.show_config()  # doctest: +ELLIPSIS
    libattn      0.1...
    library      ...
    threads      ...
    cpu          ...
    """
    info = {"libattn": version(), "library": library._name, **context_or_default(context).info()}
    for name, value in info.items():
        if value != "":
            print(f"{name:12} {value}")
