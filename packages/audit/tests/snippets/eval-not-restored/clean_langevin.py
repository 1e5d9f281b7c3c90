import torch


def langevin(model, x, steps, step_size):
    for p in model.parameters():
        p.requires_grad = False
    x.requires_grad = True
    for _ in range(steps):
        model.eval()
        energy = model(x).sum()
        energy.backward()
        x.data.add_(-step_size * x.grad)
        x.grad.zero_()
    for p in model.parameters():
        p.requires_grad = True


def sample(net, x, optimizer):
    net.requires_grad_(False)
    for _ in range(20):
        net.eval()
        net(x).sum().backward()
        optimizer.step()


def sample_with_a_frozen_net(net, x, optimizer):
    for p in net.parameters():
        p.requires_grad_(False)
    for _ in range(20):
        net.eval()
        net(x).sum().backward()
        optimizer.step()


def attack(model, loader, eps):
    for x, y in loader:
        model.eval()
        x = x.detach().requires_grad_()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        yield x + eps * x.grad.sign()


def dream(model, size, device):
    image = torch.zeros(size, device=device, requires_grad=True)
    for _ in range(20):
        model.eval()
        model(image).sum().backward()
        image.data.add_(image.grad)
        image.grad.zero_()


class Style(torch.nn.Module):
    def __init__(self, vgg):
        super().__init__()
        self.vgg = vgg
        set_requires_grad(self.vgg, False)

    def transfer(self, image):
        optimizer = torch.optim.Adam([image])
        for _ in range(100):
            self.vgg.eval()
            self.vgg(image).square().mean().backward()
            optimizer.step()
