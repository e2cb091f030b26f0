"""Run every benchmark of this folder (and the wrapper's), one after another: ``tox -e bench -- [NAME ...]``.

A benchmark that cannot run here says in one sentence what it needs, and the others go on. ``--page FILE`` also writes
what they print, with the machine and the date, as a page of the documentation.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
FOLDERS = (HERE, HERE.parent.parent / "wrapper" / "tests" / "benchmarks")
# What the page of the proxy shows, in its order; the others measure the proof kit and the wrapper.
OF_THE_PROXY = ("proxy", "serve", "tls", "plugin", "leaks", "memory")

PAGE = """\
# Benchmarks

What `python tests/benchmarks/run.py {command}`
printed on {date} on {machine}.
{busy}
Everything is measured in one run, side by side and in turns, with independent load generators: `iperf3`,
`redis-benchmark`, `nginx` and `ab`. Load generator, proxy and server share the cores. The ratios say more than the
figures; on another machine both differ. Nothing of this is asserted in the test suite.
{parts}
## What bounds it

* **Requests and connections**: system calls and wake-ups. A proxy needs a `recv` and a `send` for each message, and
  has to be woken for it; Python's part is small.
* **Bulk**: copying. Each byte is copied into the process and out again, by one thread.
* **Bulk under a delay**: the same copies, but through memory that no cache holds any more: at 1.5 GB/s a tenth of a
  second is 150 MB on their way. Carried through a queue of so many bytes in a bare loop of `recv` and `send`, a byte
  costs half as much CPU again as without the queue (0.56 and 0.38 ms for each MB), and 0.43 ms with 16 MB under way;
  buffers that are used again and huge pages made no difference (0.57 and 0.59).
* **Fault calls**: a call waits for the callbacks of the sockets that are ready just then, 16 at the most, and for a
  processor.

`python tests/benchmarks/run.py --page docs/reference/benchmarks.md` writes this page anew.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="run those whose name has one of these words"
    )
    parser.add_argument("--page", type=Path, help=f"run {', '.join(OF_THE_PROXY)} and write this page")
    options = parser.parse_args()
    scripts = {
        path.stem.removeprefix("bench_"): path
        for folder in FOLDERS
        for path in sorted(folder.glob("bench_*.py"))
    }
    if options.page is not None:
        scripts = {name: scripts[name] for name in OF_THE_PROXY}
    if options.names:
        scripts = {
            name: path for name, path in scripts.items() if any(word in name for word in options.names)
        }
    if not scripts:
        parser.error(f"no benchmark has one of these words in its name: {', '.join(options.names)}")
    worst, told, load = 0, {}, os.getloadavg()[0]
    for name, script in scripts.items():
        print(f"== {name}", flush=True)
        status, told[name] = run(script)
        worst = max(worst, status)
    if options.page is not None:
        options.page.write_text(page(scripts, told, options.page, load), encoding="utf-8")
    return worst


def run(script: Path) -> tuple[int, str]:
    """Its status and what it prints, shown as it comes."""
    lines = []
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout:
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    return process.returncode, "".join(lines)


def page(scripts: dict[str, Path], told: dict[str, str], path: Path, load: float) -> str:
    """The page: what each benchmark says of itself, and what it printed."""
    parts = []
    for name, text in told.items():
        title = "TLS" if name == "tls" else name.replace("_", " ").capitalize()
        parts.append(f"\n## {title}\n\n{about(scripts[name])}\n\n```text\n{text}```\n")
    machine = (
        f"{processor()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    )
    busy = ""
    if load > (os.cpu_count() or 1) / 2:
        busy = f"\nThe machine was busy with other work when it began (load {load:.1f}): ratios and p99 are blurred.\n"
    return PAGE.format(
        command=f"--page {path}",
        date=time.strftime("%Y-%m-%d"),
        machine=machine,
        busy=busy,
        parts="".join(parts),
    )


def about(script: Path) -> str:
    """The second paragraph that begins its docstring in words."""
    paragraphs = script.read_text(encoding="utf-8").split('"""')[1].split("\n\n")[1:]
    return next(text for text in paragraphs if not text.startswith(" ")).strip()


def processor() -> str:
    """The name of the processor, where the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    sys.exit(main())
