"""A convnet on the embedded digits with a training loop that hides nothing.

python examples/train_digits.py [epochs]
"""

import sys

import minicnn as mc
from minicnn import data, metrics, nn, ops, optim

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 8

mc.manual_seed(0)
train = data.DataLoader(data.digits("train", transform=data.ToFloat(16.0)), batch_size=32, shuffle=True)
test = data.DataLoader(data.digits("test", transform=data.ToFloat(16.0)), batch_size=360)

net = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Linear(32 * 2 * 2, 10),
)  # fmt: skip
print(nn.summary(net, (1, 8, 8)))
optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
schedule = optim.CosineAnnealingLR(optimizer, epochs)

for epoch in range(epochs):
    net.train()
    for images, labels in train:
        loss = ops.cross_entropy(net(mc.tensor(images)), mc.tensor(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    schedule.step()
    net.eval()
    with mc.no_grad():
        images, labels = next(iter(test))
        accuracy = metrics.accuracy(net(mc.tensor(images)).numpy().argmax(1), labels)
    print(f"epoch {epoch + 1}: loss {loss.item():.4f}, test accuracy {accuracy:.2%}")
