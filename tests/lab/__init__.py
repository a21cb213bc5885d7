# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab: kernels, an image, a host VM and guests, so that everything is proven on real parts. See README.md."""
