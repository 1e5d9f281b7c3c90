import torch


def predict(model, x):
    model.eval()
    return model(x)


def answer(path, x):
    model = torch.load(path)
    return predict(model, x)


if __name__ == "__main__":
    print(answer("a.pt", torch.zeros(1)))
