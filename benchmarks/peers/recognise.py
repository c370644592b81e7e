# SPDX-License-Identifier: BSL-1.0
"""Image recognition as a Python user would write it: OpenCV decodes, MobileNet V2 runs in PyTorch (float32) or in LiteRT (uint8).

Prints one JSON line {"pictures_per_s", "top1", "files"}. One intra-op thread everywhere. Two workers.
"""
import argparse
import asyncio
import csv
import json
import os
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import cv2
import numpy as np

cv2.setNumThreads(1)
local = threading.local()
options = None


def torch_network(folder, device="cpu"):
    """The network of the example, with the same weights: torchvision's names, TensorFlow's padding."""
    import safetensors.torch
    import torch
    from torch import nn

    torch.set_num_threads(1)

    class Pad(nn.Module):
        def forward(self, x):
            return nn.functional.pad(x, (0, 1, 0, 1))

    def conv_norm(i, o, kernel, stride, groups=1, relu=True):
        padding = 0 if stride == 2 else (kernel - 1) // 2
        layers = [nn.Conv2d(i, o, kernel, stride, padding, groups=groups, bias=False), nn.BatchNorm2d(o)]
        if stride == 2:
            layers[0] = nn.Sequential(Pad(), layers[0])
        return nn.Sequential(*layers, *([nn.ReLU6()] if relu else []))

    class Block(nn.Module):
        def __init__(self, i, o, stride, expand):
            super().__init__()
            h = i * expand
            layers = [conv_norm(i, h, 1, 1)] if expand != 1 else []
            self.conv = nn.Sequential(*layers, conv_norm(h, h, 3, stride, h), conv_norm(h, o, 1, 1, relu=False))
            self.residual = stride == 1 and i == o

        def forward(self, x):
            return x + self.conv(x) if self.residual else self.conv(x)

    class MobileNetV2(nn.Module):
        def __init__(self):
            super().__init__()
            blocks, i = [conv_norm(3, 32, 3, 2)], 32
            for expand, o, count, first in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)):
                for n in range(count):
                    blocks.append(Block(i, o, first if n == 0 else 1, expand))
                    i = o
            self.features = nn.Sequential(*blocks, conv_norm(i, 1280, 1, 1))
            self.classifier = nn.Linear(1280, 1000)

        def forward(self, x):
            return self.classifier(self.features(x).mean((2, 3)))

    network = MobileNetV2().eval()
    weights = safetensors.torch.load_file(os.path.join(folder, "weights", "mobilenet_v2.safetensors"))
    # The file has its arrays in the order of the layers; so has the network, but for counters that the file leaves out.
    own = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    for (name, to), (_, value) in zip(own.items(), sorted(weights.items(), key=lambda item: position(item[0])), strict=True):
        assert to.shape == value.shape, (name, to.shape, value.shape)
        to.copy_(value.float())
    network = network.to(device)

    def run(pixels):
        with torch.inference_mode():
            x = torch.from_numpy(np.stack(pixels)).to(device).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
            return network(x).argmax(1).tolist()

    return run


ARRAYS = ("weight", "bias", "running_mean", "running_var")


def position(name):
    """A key that sorts torchvision's names into the order of the layers."""
    parts = name.split(".")
    numbers = [int(p) for p in parts if p.isdigit()]
    return (parts[0] != "features", numbers[0], (numbers[1:] + [0])[0], (numbers[2:] + [0])[0], ARRAYS.index(parts[-1]))


def litert_network(folder, device="cpu"):
    from ai_edge_litert.interpreter import Interpreter

    network = Interpreter(model_path=os.path.join(folder, "weights", "mobilenet_v2_1.0_224_quant.tflite"), num_threads=1)
    network.allocate_tensors()
    into, out = network.get_input_details()[0]["index"], network.get_output_details()[0]["index"]

    def run(pixels):
        found = []
        for one in pixels:
            network.set_tensor(into, one[None])
            network.invoke()
            found.append(int(network.get_tensor(out)[0].argmax()) - 1)  # output 0 is "background"
        return found

    return run


NETWORKS = {"torch": torch_network, "litert": litert_network}


def prepare(args):
    global options
    options = args


def recognise(paths):
    if not hasattr(local, "network"):
        local.network = NETWORKS[options.network](options.data, options.device)
    pixels = []
    for path in paths:
        with open(path, "rb") as f:
            picture = cv2.imdecode(np.frombuffer(f.read(), np.uint8), cv2.IMREAD_COLOR)
        pixels.append(cv2.resize(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), (224, 224), interpolation=cv2.INTER_LINEAR))
    return local.network(pixels)


def threads(args):
    pool = ThreadPoolExecutor(2)
    return lambda batches: list(pool.map(recognise, batches))


def asyncio_threads(args):
    loop = asyncio.new_event_loop()
    loop.set_default_executor(ThreadPoolExecutor(2))

    async def all_of(batches):
        return await asyncio.gather(*(asyncio.to_thread(recognise, b) for b in batches))

    return lambda batches: loop.run_until_complete(all_of(batches))


def processes(args):
    import multiprocessing

    pool = ProcessPoolExecutor(2, multiprocessing.get_context("spawn"), prepare, (args,))
    return lambda batches: list(pool.map(recognise, batches))


MODES = {"threads": threads, "asyncio": asyncio_threads, "processes": processes}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder that holds photos/ and weights/")
    parser.add_argument("--network", choices=NETWORKS, required=True)
    parser.add_argument("--mode", choices=MODES, required=True)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N, for torch")
    parser.add_argument("--repeat", type=int, default=10)
    args = parser.parse_args()
    prepare(args)
    with open(os.path.join(args.data, "photos", "photos.tsv"), encoding="utf-8") as f:
        rows = list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))
    paths = [os.path.join(args.data, "photos", row["file"]) for row in rows]
    run = MODES[args.mode](args)
    cut = lambda files: [files[i:i + args.batch] for i in range(0, len(files), args.batch)]
    found = [x for b in run(cut(paths)) for x in b]  # also starts the workers and loads their networks
    begin = time.perf_counter()
    run(cut(paths * args.repeat))
    seconds = time.perf_counter() - begin
    right = sum(a == int(row["class_index"]) for a, row in zip(found, rows))
    print(json.dumps({"pictures_per_s": len(paths) * args.repeat / seconds, "top1": right, "files": len(paths)}), flush=True)


if __name__ == "__main__":
    main()
