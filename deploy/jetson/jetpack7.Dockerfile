# Builds the runtime, the op library and the TensorRT plugin for JetPack 7 (Thor) and installs them.
#
#   docker build -f deploy/jetson/jetpack7.Dockerfile --build-arg REGISTRY=... -t posemamba .
#   docker run --runtime nvidia -i -v "$PWD:/models:ro" posemamba lift_stream /models/MODEL < keypoints.txt
#
# From JetPack 7 on, Jetson runs NVIDIA's images for 64-bit Arm servers: REGISTRY is NVIDIA's, as its
# page of the image tensorrt writes it. 25.08 has TensorRT 10.13 and CUDA 13.0.
ARG REGISTRY
ARG TAG=25.08-py3
FROM ${REGISTRY}/tensorrt:${TAG} AS build
# nvcc makes code for the Thor alone: 11.0.
ARG ARCHITECTURES=110-real
RUN apt-get update \
 && apt-get install -y --no-install-recommends cmake g++ ninja-build \
 && rm -rf /var/lib/apt/lists/*
ENV PATH=/usr/local/cuda/bin:$PATH
COPY . /src
RUN sh /src/deploy/jetson/build.sh /src /opt/posemamba ${ARCHITECTURES}

FROM ${REGISTRY}/tensorrt:${TAG}
COPY --from=build /opt/posemamba /usr/local
RUN ldconfig
# The image's own greets on standard output, where the poses go.
ENTRYPOINT []
