#! path: src/detector_inference.py
def compute_on_dataset(model, loader):
    model.eval()
    return [model(x) for x in loader]
