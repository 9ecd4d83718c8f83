"""The zoo: one file per paper."""

from ganzoo.models.began import BEGAN as BEGAN
from ganzoo.models.cgan import CGAN as CGAN
from ganzoo.models.cyclegan import CycleGAN as CycleGAN
from ganzoo.models.dann import DANN as DANN
from ganzoo.models.dcgan import DCGAN as DCGAN
from ganzoo.models.domain_norm_dann import DomainNormDANN as DomainNormDANN
from ganzoo.models.gan import GAN as GAN
from ganzoo.models.gan import ConvolutionalGAN as ConvolutionalGAN
from ganzoo.models.gan import SimultaneousGAN as SimultaneousGAN
from ganzoo.models.lapgan import LAPGAN as LAPGAN
from ganzoo.models.lsgan import LSGAN as LSGAN
from ganzoo.models.pix2pix import Pix2Pix as Pix2Pix
from ganzoo.models.sngan import SNGAN as SNGAN
from ganzoo.models.sngan_projection import SNGANProjection as SNGANProjection
from ganzoo.models.wgan import WGAN as WGAN
from ganzoo.models.wgan_gp import WGANGP as WGANGP
