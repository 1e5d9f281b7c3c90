import torch


@torch.no_grad()
def predict(model, x):
    model.eval()  #! eval-not-restored advice
    return model(x)


def embed(net: torch.nn.Module, loader, device):
    net = net.to(device)
    net.train(False)  #! eval-not-restored advice
    with torch.no_grad():
        return torch.cat([net.encode(batch.to(device)) for batch in loader])


def generate(trainer, prompt):
    return sample(trainer.model.eval(), prompt), trainer.model(prompt)  #! eval-not-restored advice


def answer(model, x):
    return model.cuda().eval()(x)  #! eval-not-restored advice


def describe(model, x):
    return model.eval().generate(x)  #! eval-not-restored advice


def off(model):
    model.eval()


def neighbours(model, x, k):
    off(model)  #! eval-not-restored advice
    return model(x).topk(k)
