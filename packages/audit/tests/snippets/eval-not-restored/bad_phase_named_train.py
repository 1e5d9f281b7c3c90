#! path: src/ranges.py
import torch


def ranges(model, loader):
    model.eval()  #! eval-not-restored advice
    with torch.no_grad():
        return [model(x) for x in loader]


def run(model, loaders):
    for phase in ["train", "val"]:
        ranges(model, loaders[phase])
