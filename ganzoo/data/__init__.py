"""Lightning DataModules of images, labelled images, pairs of images and two domains; one import line each."""

from ganzoo.data.digits import Digits as Digits
from ganzoo.data.domains import Domains as Domains
from ganzoo.data.emoji import Emoji as Emoji
from ganzoo.data.folder import DomainFolder as DomainFolder
from ganzoo.data.folder import ImageFolder as ImageFolder
from ganzoo.data.maps import Maps as Maps
from ganzoo.data.mnistm import MNISTM as MNISTM
from ganzoo.data.mnistm import DigitsM as DigitsM
from ganzoo.data.paired import Paired as Paired
from ganzoo.data.plane import Grid as Grid
from ganzoo.data.plane import Ring as Ring
from ganzoo.data.printed import PrintedDigits as PrintedDigits
from ganzoo.data.stacked import StackedMNIST as StackedMNIST
from ganzoo.data.unpaired import UnpairedFolders as UnpairedFolders
from ganzoo.data.vision import CIFAR10 as CIFAR10
from ganzoo.data.vision import MNIST as MNIST
from ganzoo.data.vision import STL10 as STL10
from ganzoo.data.vision import SVHN as SVHN
from ganzoo.data.vision import USPS as USPS
from ganzoo.data.vision import FashionMNIST as FashionMNIST
from ganzoo.data.world_maps import WorldMaps as WorldMaps
