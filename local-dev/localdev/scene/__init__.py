"""Simulated scenes whose truth is known: Sentinel-1 and Sentinel-2 products and images with RPC, in true geometry.

Shares no code with the kernel it is used to test: its own slow, exact float64 geometry, checked against the
geolocation grids of real products.
"""

from localdev.scene.msi_targets import MsiTarget
from localdev.scene.presets import DemoScenes, demo_scenes
from localdev.scene.rpc_image import RpcImage, RpcSpec, make_rpc_image
from localdev.scene.sentinel1 import make_sentinel1
from localdev.scene.sentinel2 import Sentinel2Product, Sentinel2Spec, make_sentinel2
from localdev.scene.sentinel2_l1b import Sentinel2L1BProduct, Sentinel2L1BSpec, make_sentinel2_l1b
from localdev.scene.spec import Scene, SceneSpec, Target

__all__ = [
    "DemoScenes",
    "MsiTarget",
    "RpcImage",
    "RpcSpec",
    "Scene",
    "SceneSpec",
    "Sentinel2L1BProduct",
    "Sentinel2L1BSpec",
    "Sentinel2Product",
    "Sentinel2Spec",
    "Target",
    "demo_scenes",
    "make_rpc_image",
    "make_sentinel1",
    "make_sentinel2",
    "make_sentinel2_l1b",
]
