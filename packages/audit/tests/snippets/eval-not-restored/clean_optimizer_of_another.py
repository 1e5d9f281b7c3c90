import torch


def train_teacher(teacher, loader):
    optimizer = torch.optim.Adam(teacher.parameters())
    teacher.train()
    for x, y in loader:
        (teacher(x) - y).square().mean().backward()
        optimizer.step()


def distil(teacher, student, loader, valid):
    optimizer = torch.optim.Adam(student.parameters())
    for _ in range(3):
        teacher.eval()
        student.train()
        for x, _ in loader:
            loss = (student(x) - teacher(x)).square().mean()
            loss.backward()
            optimizer.step()
        student.eval()
        print([student(x) for x in valid])
