# SPDX-License-Identifier: BSL-1.0
"""torch.utils.data.DataLoader as a Python user would write it: Fashion-MNIST in memory, or JPEG photos to 224 x 224 floats.

Prints one JSON line {"images_per_s", "samples"}: the best of three epochs, after one that starts the workers.
"""
import argparse
import csv
import gzip
import json
import os
import time

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset


def idx(path):
    with gzip.open(path, "rb") as f:
        data = f.read()
    rank = data[3]
    shape = [int.from_bytes(data[4 + 4 * i:8 + 4 * i], "big") for i in range(rank)]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def fashion(args):
    folder = os.path.join(args.data, "fashion-mnist", "train-")
    images = torch.from_numpy(idx(folder + "images-idx3-ubyte.gz").copy()).unsqueeze(1).float().div_(255)
    labels = torch.from_numpy(idx(folder + "labels-idx1-ubyte.gz").copy()).long()
    return TensorDataset(images, labels), 128


class Photos(Dataset):
    def __init__(self, data, decoder, count):
        with open(os.path.join(data, "photos", "photos.tsv"), encoding="utf-8") as f:
            rows = list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))
        self.files = [(os.path.join(data, "photos", rows[i % len(rows)]["file"]), i // len(rows)) for i in range(count)]
        self.decode = {"pil": self.pil, "cv2": self.cv2}[decoder]

    def __len__(self):
        return len(self.files)

    def __getitem__(self, i):
        path, label = self.files[i]
        return torch.from_numpy(self.decode(path)).permute(2, 0, 1).contiguous().float().div_(127.5).sub_(1), label

    @staticmethod
    def pil(path):
        from PIL import Image
        with Image.open(path) as image:
            return np.array(image.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR))

    @staticmethod
    def cv2(path):
        import cv2
        cv2.setNumThreads(1)
        return cv2.resize(cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB), (224, 224))


def photos(args):
    return Photos(args.data, args.decoder, 1600), 32


def epoch(batches, samples):
    begin, seen = time.perf_counter(), 0
    for x, _ in batches:
        seen += len(x)
    assert seen == samples
    return seen / (time.perf_counter() - begin)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["fashion", "photos"])
    parser.add_argument("--data", required=True, help="folder that holds fashion-mnist/ and photos/")
    parser.add_argument("--decoder", choices=["pil", "cv2"], default="pil")
    parser.add_argument("--workers", type=int, default=0)
    args = parser.parse_args()
    dataset, size = {"fashion": fashion, "photos": photos}[args.what](args)
    batches = DataLoader(dataset, batch_size=size, shuffle=True, num_workers=args.workers, persistent_workers=args.workers > 0)
    epoch(batches, len(dataset))
    best = max(epoch(batches, len(dataset)) for _ in range(3))
    print(json.dumps({"images_per_s": best, "samples": len(dataset)}), flush=True)


if __name__ == "__main__":
    main()
