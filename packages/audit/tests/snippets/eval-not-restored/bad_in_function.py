def show(model, x):
    model.eval()  #! eval-not-restored advice
    print(model(x))


def fit(model, loader, optimizer):
    model.train()
    for x, y in loader:
        loss = (model(x) - y).square().mean()
        loss.backward()
        optimizer.step()
        show(model, x)
