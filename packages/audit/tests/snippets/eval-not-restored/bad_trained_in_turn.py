def fit(model, critic, loader, optimizer):
    for x in loader:
        for p in model.parameters():
            p.requires_grad = False
        critic(model(x)).mean().backward()
        for p in model.parameters():
            p.requires_grad = True
        model.eval()  #! eval-not-restored advice
        model(x).mean().backward()
        optimizer.step()


def fit_and_look(model, loader, optimizer):
    for x in loader:
        x.requires_grad_()
        model(x).mean().backward()
        optimizer.step()
        model.eval()  #! eval-not-restored advice
        print(model(x), x.grad)
