# Builds the runtime, the op library and the TensorRT plugin for JetPack 6 (Orin) and installs them.
#
#   docker build -f deploy/jetson/jetpack6.Dockerfile --build-arg REGISTRY=... -t posemamba .
#   docker run --runtime nvidia -i -v "$PWD:/models:ro" posemamba lift_stream /models/MODEL < keypoints.txt
#
# REGISTRY is NVIDIA's, as its page of the image l4t-jetpack writes it. CUDA and TensorRT are the image's.
ARG REGISTRY
ARG TAG=r36.4.0
FROM ${REGISTRY}/l4t-jetpack:${TAG} AS build
# nvcc makes code for the Orin alone: 8.7.
ARG ARCHITECTURES=87-real
RUN apt-get update \
 && apt-get install -y --no-install-recommends cmake g++ ninja-build \
 && rm -rf /var/lib/apt/lists/*
ENV PATH=/usr/local/cuda/bin:$PATH
COPY . /src
RUN sh /src/deploy/jetson/build.sh /src /opt/posemamba ${ARCHITECTURES}

FROM ${REGISTRY}/l4t-jetpack:${TAG}
COPY --from=build /opt/posemamba /usr/local
RUN ldconfig
