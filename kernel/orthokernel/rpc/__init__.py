"""Images with rational polynomial coefficients: Pléiades and every very-high-resolution product."""

from orthokernel.rpc.coefficients import RpcCoefficients
from orthokernel.rpc.model import RpcModel
from orthokernel.rpc.product import RpcImage, open_rpc_image

__all__ = ["RpcCoefficients", "RpcImage", "RpcModel", "open_rpc_image"]
