import torch


def fit(net, loader, valid, opt):
    net.train()
    for step, (x, y) in enumerate(loader):
        loss = net(x, y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        if step % 100 == 0:
            net.eval()  #! eval-not-restored advice
            with torch.no_grad():
                print(net(*valid))
