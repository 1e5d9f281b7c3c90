#! path: braindecode/scoring.py
import torch


def predict_trials(module, loader, device):
    # Its name says that it predicts; the file, of a library that trains, does not.
    module.eval()  #! eval-not-restored advice
    with torch.no_grad():
        return [module(x.to(device)) for x in loader]
