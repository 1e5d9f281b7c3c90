def fit(model, loader, valid, optimizer, epochs):
    for epoch in range(epochs):
        model.train()
        for step, (x, y) in enumerate(loader):
            (model(x) - y).square().mean().backward()
            optimizer.step()
            if step == len(loader) - 1:
                model.eval()
                print([(model(x) - y).square().mean().item() for x, y in valid])
