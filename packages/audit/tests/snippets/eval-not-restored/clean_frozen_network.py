def fit(generator, vgg, loader, optimizer):
    generator.train()
    for x in loader:
        vgg.eval()
        loss = (vgg(generator(x)) - vgg(x)).square().mean()
        loss.backward()
        optimizer.step()
