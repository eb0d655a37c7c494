#!/usr/bin/env python3
"""Runs every fuzz target of a build for some seconds each, two at a time, and says what came of it.

    tests/fuzz/run.py BUILD [--seconds 60] [--jobs 2] [TARGET ...]

Corpora grow in BUILD/fuzz/corpus/TARGET, inputs that broke something lie in BUILD/fuzz/findings. To see one again:
BUILD/tests/fuzz/fuzz_TARGET FILE. Exit code 1 when anything was found.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys

# Per input: 10 s, 256 MiB in one allocation, 1 GiB together; inputs are at most 4 KiB, so more than that means
# that a size in a file was believed. Sanitizers report what the exit code cannot show.
LIMITS = ["-timeout=10", "-malloc_limit_mb=256", "-rss_limit_mb=1024", "-max_len=4096", "-print_final_stats=1"]
MOST_CORPUS_BYTES = 4 << 20


def shrink(program, corpus):
    """Keeps only inputs that reach code which no others reach, when a corpus has grown large."""
    if sum(f.stat().st_size for f in corpus.iterdir()) <= MOST_CORPUS_BYTES:
        return
    small = corpus.with_name(corpus.name + ".small")
    small.mkdir()
    subprocess.run([program, "-merge=1", *LIMITS, small, corpus], capture_output=True, check=False)
    if any(small.iterdir()):
        shutil.rmtree(corpus)
        small.rename(corpus)


def run(program, folder, seconds):
    name = program.name.removeprefix("fuzz_")
    corpus, findings = folder / "corpus" / name, folder / "findings"
    corpus.mkdir(parents=True, exist_ok=True)
    findings.mkdir(parents=True, exist_ok=True)
    before = set(findings.iterdir())
    command = [program, corpus, f"-max_total_time={seconds}", f"-artifact_prefix={findings}/{name}-", *LIMITS]
    result = subprocess.run(command, env={**os.environ, "NORMLAB_FUZZ_SEEDS": str(corpus), "NORMLAB_LOG": "quiet"},
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    log = result.stderr.decode(errors="replace")
    (folder / f"{name}.log").write_text(log)
    runs = re.search(r"number_of_executed_units:\s*(\d+)", log)
    covered = re.findall(r"cov: (\d+)", log)
    shrink(program, corpus)
    return {"name": name, "runs": int(runs[1]) if runs else 0, "covered": covered[-1] if covered else "0",
            "failed": result.returncode != 0, "files": sorted(set(findings.iterdir()) - before), "log": log}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_intermixed_args()
    programs = sorted(p for p in (options.build / "tests" / "fuzz").glob("fuzz_*") if os.access(p, os.X_OK) and p.is_file())
    if options.targets:
        programs = [p for p in programs if p.name.removeprefix("fuzz_") in options.targets]
    if not programs:
        sys.exit("no fuzz targets there (cmake -DNORMLAB_FUZZ=ON, with clang)")
    print(f"{len(programs)} targets, {options.seconds} s each, {options.jobs} at a time", flush=True)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(lambda p: run(p, options.build / "fuzz", options.seconds), programs))
    for result in (r for r in results if r["failed"]):
        print(f"\n== {result['name']}: the end of its log")
        print("\n".join(result["log"].splitlines()[-60:]))
    for result in results:
        found = "FAILED: " + " ".join(map(str, result["files"])) if result["failed"] else "nothing found"
        print(f"{result['name']:12} {result['runs']:9,} runs  {result['covered']:>6} edges covered  {found}")
    failed = sum(r["failed"] for r in results)
    print(f"fuzzing: {failed} of {len(results)} targets found something" if failed else "fuzzing: nothing found")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
