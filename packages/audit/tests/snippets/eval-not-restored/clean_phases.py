import torch


def fit(model, loaders, optimizer, epochs):
    for _ in range(epochs):
        for phase in ("train", "val"):
            if phase == "train":
                model.train()
            else:
                model.eval()
            for x, y in loaders[phase]:
                with torch.set_grad_enabled(phase == "train"):
                    loss = (model(x) - y).square().mean()
                if phase == "train":
                    loss.backward()
                    optimizer.step()
                    optimizer.zero_grad()
