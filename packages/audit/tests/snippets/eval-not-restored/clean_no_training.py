import torch


def evaluate(models, x):
    outs = []
    for model in models:
        model.eval()
        with torch.no_grad():
            outs.append(model(x))
    return outs
