# SPDX-License-Identifier: BSL-1.0
"""PyTorch's DistributedDataParallel over Gloo, or one process without it, on Fashion-MNIST, as a Python user would write it.

Prints one JSON line {"images_per_s", "first_step_s", "accuracy"}: of the second of two epochs; seconds from the start of the
process to the end of its first step. --tuned: channels-last weights, gradients as views of buckets, memory that malloc keeps.
"""
import argparse
import gzip
import json
import multiprocessing
import os
import socket
import sys
import time

AGE = time.clock_gettime(time.CLOCK_BOOTTIME) - float(open("/proc/self/stat", encoding="ascii").read().rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")
BEGAN = time.clock_gettime(time.CLOCK_BOOTTIME) - AGE


def idx(path):
    import numpy as np
    with gzip.open(path, "rb") as f:
        data = f.read()
    shape = [int.from_bytes(data[4 + 4 * i:8 + 4 * i], "big") for i in range(data[3])]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)


def load(folder, which):
    import torch
    images = torch.from_numpy(idx(f"{folder}/{which}-images-idx3-ubyte.gz").copy()).unsqueeze(1).float().div_(255)
    return images, torch.from_numpy(idx(f"{folder}/{which}-labels-idx1-ubyte.gz").copy()).long()


def train(rank, args, port, began):
    import torch
    import torch.distributed as dist
    from torch import nn
    import torch.nn.functional as F
    torch.set_num_threads(1)
    images, labels = load(args.data, "train")
    torch.manual_seed(1)
    model = plain = nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1600, 128), nn.ReLU(), nn.Linear(128, 10))
    if args.tuned:
        model = plain = model.to(memory_format=torch.channels_last)
    device = torch.device(args.device)
    model = plain = model.to(device)
    if device.type != "cpu":
        images, labels = images.pin_memory(), labels.pin_memory()
    if args.processes > 1:
        dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=args.processes)
        model = nn.parallel.DistributedDataParallel(plain, gradient_as_bucket_view=args.tuned)
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.05, momentum=0.9)
    per_rank = args.batch // args.processes
    order = torch.Generator().manual_seed(1)
    first, seconds = 0.0, 0.0
    for _ in range(2):
        if args.processes > 1:
            dist.barrier()
        begin = time.perf_counter()
        permutation = torch.randperm(len(images), generator=order)
        steps = len(images) // args.batch
        for step in range(steps):
            at = step * args.batch + rank * per_rank
            index = permutation[at:at + per_rank]
            optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(model(images[index].to(device, non_blocking=True)), labels[index].to(device, non_blocking=True))
            loss.backward()
            optimizer.step()
            if first == 0.0:
                loss.item()
                first = time.clock_gettime(time.CLOCK_BOOTTIME) - began
        loss.item()  # a device has done all of it then
        if args.processes > 1:
            dist.barrier()
        seconds = time.perf_counter() - begin
    if rank == 0:
        images, labels = load(args.data, "t10k")
        plain.eval()
        with torch.inference_mode():
            right = sum(int((plain(images[i:i + 1000].to(device)).argmax(1).cpu() == labels[i:i + 1000]).sum()) for i in range(0, len(images), 1000))
        print(json.dumps({"images_per_s": steps * args.batch / seconds, "first_step_s": first, "accuracy": right / len(images)}), flush=True)
    if args.processes > 1:
        dist.destroy_process_group()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder of Fashion-MNIST")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--batch", type=int, default=128, help="over all processes together")
    parser.add_argument("--tuned", action="store_true")
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N, of one process")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    if args.tuned and "MALLOC_TRIM_THRESHOLD_" not in os.environ:
        os.environ.update(MALLOC_MMAP_THRESHOLD_="1073741824", MALLOC_TRIM_THRESHOLD_="4294967296")
        os.execv(sys.executable, [sys.executable] + sys.argv)  # glibc reads them at the start
    if args.processes == 1:
        train(0, args, 0, BEGAN)
        return
    spawn = multiprocessing.get_context("spawn")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    children = [spawn.Process(target=train, args=(rank, args, port, BEGAN)) for rank in range(args.processes)]
    for c in children:
        c.start()
    for c in children:
        c.join()
    sys.exit(max(abs(c.exitcode) for c in children))


if __name__ == "__main__":
    main()
