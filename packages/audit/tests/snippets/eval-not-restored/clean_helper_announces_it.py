import torch


def evaluate(model, loader):
    model.eval()
    return sum(model(x).sum() for x in loader)


def export_onnx(model, x, path):
    model.eval()
    model(x)
    torch.onnx.export(model, x, path)


def ready(model, path):
    model.load_state_dict(torch.load(path))
    model.eval()
    model(torch.zeros(1, 3))


def warmed(model, x):
    model.eval()
    model(x)
    return model


def on_device(model, x):
    model.eval()
    return x.to(next(model.parameters()).device)


def copied(model, x):
    model = model.clone()
    model.eval()
    return model(x)


def frozen(model, x, is_frozen):
    if is_frozen:
        model.eval()
    return model(x)


def inpaint(model, video_path):
    model.eval()
    return model(read(video_path))


def apply_model(model, mix):
    model.eval()
    return model(mix)


class Pipeline:
    def __init__(self, model):
        self.model = model

    def __call__(self, x):
        self.model.eval()
        return self.model(x)
