#!/usr/bin/env python3
"""What the compiler made of the CUDA kernels: registers, tensor-core and wide instructions, occupancy.

    tests/static/sass.py                 checks every kernel for 80 86 89 90a 100; exit 1 when a claim does not hold
    tests/static/sass.py --archs 90a --table   also prints the occupancy table of docs/08-kernels-gpu.md

Needs CUDA's nvcc and c++filt, and cuobjdump with nvdisasm (part of CUDA, or the Python packages nvidia-cuda-cuobjdump and
nvidia-cuda-nvdisasm; --tools names their folder). Compiled files are kept in --work, so a second run reads them again.

Claims: no kernel touches local memory (spilled registers, a stack frame); attention's tensor-core kernels multiply with
HMMA, read fragments with LDSM and fetch tiles with asynchronous copies of 16 bytes; kernels instantiated for packs of 16
bytes load and store with 128-bit instructions.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Kernel (a regular expression on its demangled name) -> instructions that it must have.
CLAIMS = [
    (r'attention_fragments_kernel<', ['HMMA', 'LDSM', r'LDGSTS\.E\.BYPASS(\.LTC128B)?\.128', r'STG\.E\.128']),
    (r'key_fragments_kernel<', ['HMMA', 'LDSM', r'LDGSTS\.E\.BYPASS(\.LTC128B)?\.128']),
    (r'query_fragments_kernel<', ['HMMA', 'LDSM', r'LDGSTS\.E\.BYPASS(\.LTC128B)?\.128']),
    (r'grouped_(product|gradient)_kernel<engine::cuda::TensorCores<', ['HMMA', 'LDSM', r'LDGSTS\.E\.BYPASS(\.LTC128B)?\.128']),
    (r'copy_kernel<(float, float, 4|__half|engine::bf16, engine::bf16, 8)', [r'LDG\.E\.128', r'STG\.E\.128']),
    (r'activate_kernel<engine::bf16, 8', [r'LDG\.E\.128', r'STG\.E\.128']),
    (r'activate_back_kernel<engine::bf16, 8', [r'LDG\.E\.128', r'STG\.E\.128']),
    (r'glu_kernel<engine::bf16, 8', [r'LDG\.E\.128', r'STG\.E\.128']),
    (r'step_kernel<float, engine::AdamStep, 4', [r'LDG\.E\.128', r'STG\.E\.128']),
]
LOCAL = re.compile(r'\b(LDL|STL)\b')

# Cards: registers and threads of a multiprocessor, KiB of shared memory (of it, of a block), blocks at a time.
CARDS = {
    '80': ('A100', 65536, 2048, 164, 32),
    '86': ('RTX 3090', 65536, 1536, 100, 16),
    '89': ('RTX 4090', 65536, 1536, 100, 24),
    '90a': ('H100', 65536, 2048, 228, 32),
    '100': ('B200', 65536, 2048, 228, 32),
}
# Kernels of the table: name, threads of a block, bytes of shared memory by the structs of their files.
TILE = 2  # bytes of an element of a tile
TABLE = [
    ('attention forward, d 64', r'attention_fragments_kernel<engine::bf16, 64, false>', 128, 5 * 64 * 64 * TILE),
    ('attention forward, d 128', r'attention_fragments_kernel<engine::bf16, 128, false>', 128, 5 * 64 * 128 * TILE),
    ('attention dk dv, d 64', r'key_fragments_kernel<engine::bf16, 64, false>', 128, 4 * 64 * 64 * TILE + 512),
    ('attention dk dv, d 128', r'key_fragments_kernel<engine::bf16, 128, false>', 128,
     (2 * 64 + 2 * 16) * 128 * TILE + 128),
    ('attention dq, d 64', r'query_fragments_kernel<engine::bf16, 64, false>', 128, 4 * 64 * 64 * TILE),
    ('attention dq, d 128', r'query_fragments_kernel<engine::bf16, 128, false>', 128, (2 * 64 + 2 * 16) * 128 * TILE),
    ('products of groups, bf16', r'grouped_product_kernel<engine::cuda::TensorCores<engine::bf16>', 256, 3 * 2 * 128 * 32 * TILE),
    ('gradient of groups, bf16', r'grouped_gradient_kernel<engine::cuda::TensorCores<engine::bf16>', 256,
     3 * 2 * 128 * 32 * TILE),
    ('join and norm, f32', r'join_norm_kernel<float', 256, 64),
    ('norm backward, f32', r'norm_back_kernel<float', 256, 64 + 4 * 8 * 64),
    ('softmax, bf16', r'softmax_kernel<engine::bf16', 256, 64),
    ('cross entropy in place, bf16', r'score_kernel<engine::bf16', 256, 64),
    ('AdamW, packs of 4', r'step_kernel<float, engine::AdamStep, 4', 256, 0),
]


def run(command, **more):
    return subprocess.run(command, check=True, capture_output=True, text=True, **more).stdout


class Kernel:
    def __init__(self, name, registers, stack, local):
        self.name, self.registers, self.stack, self.local = name, registers, stack, local
        self.code = ''


def compile_one(source, arch, work):
    out = work / arch / (source.stem + '.cubin')
    listed = out.with_suffix('.d')  # what it was made of
    if out.exists() and listed.exists():
        made_of = [pathlib.Path(p) for p in listed.read_text().replace('\\\n', ' ').split(':', 1)[1].split()]
        if all(p.exists() and p.stat().st_mtime < out.stat().st_mtime for p in made_of):
            return out
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_suffix('.part')
    done = subprocess.run(
        ['nvcc', '-std=c++20', '-O3', '--expt-relaxed-constexpr', '-DENGINE_GPU=cuda', '-DENGINE_HAS_cuda=1', f'-I{ROOT}',
         '-Xptxas', '-warn-spills,-warn-lmem-usage,-Werror', '-gencode', f'arch=compute_{arch},code=sm_{arch}', '-cubin',
         '-MD', '-MF', str(listed), '-o', str(part), str(source)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f'{source.relative_to(ROOT)} for {arch}: nvcc says\n{done.stdout}{done.stderr}')
    part.rename(out)
    return out


def kernels_of(cubin, tools, environment):
    """The kernels of a compiled file by demangled name."""
    usage = run([tools, '-res-usage', str(cubin)], env=environment)
    found = re.findall(r'Function (\S+):\s+REG:(\d+) STACK:(\d+) SHARED:\d+ LOCAL:(\d+)', usage)
    names = run(['c++filt'], input='\n'.join(f[0] for f in found)).splitlines()
    kernels = {f[0]: Kernel(n, int(f[1]), int(f[2]), int(f[3])) for f, n in zip(found, names)}
    current = None
    for line in run([tools, '-sass', str(cubin)], env=environment).splitlines():
        begins = re.search(r'Function : (\S+)', line)
        if begins:
            current = kernels[begins.group(1)]
        elif current is not None and '/*' in line and ';' in line:
            current.code += line + '\n'
    return list(kernels.values())


def problems_of(kernel):
    wrong = []
    if kernel.stack or kernel.local or LOCAL.search(kernel.code):
        wrong.append(f'touches local memory (stack {kernel.stack}, local {kernel.local})')
    for pattern, instructions in CLAIMS:
        if re.search(pattern, kernel.name):
            wrong += [f'has no {i}' for i in instructions if not re.search(i, kernel.code)]
    return wrong


def occupancy(registers, threads, shared, card):
    """Blocks of a multiprocessor: registers come in 256 a warp from four files, shared memory in 128 bytes beside 1 KiB."""
    _, of_registers, of_threads, of_shared, most = card
    a_warp = (registers * 32 + 255) // 256 * 256
    warps = of_registers // 4 // a_warp * 4
    a_block = (shared + 1024 + 127) // 128 * 128
    return min(warps // (threads // 32), of_threads // threads, of_shared * 1024 // a_block, most)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--archs', nargs='+', default=list(CARDS), choices=list(CARDS))
    parser.add_argument('--work', default=str(ROOT / 'build-sass'))
    parser.add_argument('--tools', default='', help='folder of cuobjdump and nvdisasm')
    parser.add_argument('--jobs', type=int, default=os.cpu_count())
    parser.add_argument('--table', action='store_true', help='print the occupancy table')
    args = parser.parse_args()
    environment = dict(os.environ)
    if args.tools:
        environment['PATH'] = args.tools + os.pathsep + environment['PATH']
    tools = shutil.which('cuobjdump', path=environment['PATH'])
    for name, found in [('nvcc', shutil.which('nvcc')), ('c++filt', shutil.which('c++filt')), ('cuobjdump', tools),
                        ('nvdisasm', shutil.which('nvdisasm', path=environment['PATH']))]:
        if not found:
            print(f'sass.py needs {name}, which is not on PATH (--tools FOLDER for cuobjdump and nvdisasm)', file=sys.stderr)
            return 2
    work = pathlib.Path(args.work)
    sources = sorted(ROOT.glob('engine/*/*_cuda.cu'))
    jobs = [(s, a) for a in args.archs for s in sources]
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        cubins = list(pool.map(lambda j: compile_one(j[0], j[1], work), jobs))
        listings = list(pool.map(lambda c: kernels_of(c, tools, environment), cubins))
    failed, claimed, registers = 0, {p: 0 for p, _ in CLAIMS}, {}
    for (source, arch), kernels in zip(jobs, listings):
        for kernel in kernels:
            for pattern, _ in CLAIMS:
                claimed[pattern] += bool(re.search(pattern, kernel.name))
            for row in TABLE:
                if re.search(row[1], kernel.name):
                    registers[row[0], arch] = max(registers.get((row[0], arch), 0), kernel.registers)
            for problem in problems_of(kernel):
                print(f'{arch} {source.relative_to(ROOT)}: {kernel.name}: {problem}')
                failed += 1
    for pattern, count in claimed.items():
        if count == 0:
            print(f'no kernel is called {pattern}: the claim about it says nothing')
            failed += 1
    total = sum(len(k) for k in listings)
    print(f'{total} kernels for {" ".join(args.archs)}: {failed} claims do not hold')
    if args.table:
        print('\n| kernel | ' + ' | '.join(f'{CARDS[a][0]} ({a})' for a in args.archs) + ' |')
        print('|---|' + '---|' * len(args.archs))
        for name, _, threads, shared in TABLE:
            cells = []
            for arch in args.archs:
                r = registers.get((name, arch))
                if r is None:
                    cells.append('-')
                    continue
                blocks = occupancy(r, threads, shared, CARDS[arch])
                cells.append(f'{r} registers, {blocks} x {threads // 32} of {CARDS[arch][2] // 32} warps')
            print(f'| {name} | ' + ' | '.join(cells) + ' |')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
