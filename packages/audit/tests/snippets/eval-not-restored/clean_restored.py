import torch


def fit(net, loader, valid, opt):
    net.train()
    for step, (x, y) in enumerate(loader):
        loss = net(x, y)
        loss.backward()
        opt.step()
        if step % 100 == 0:
            net.eval()
            with torch.no_grad():
                print(net(*valid))
            net.train()
