# Whether the TensorRT plugins are built: POSEMAMBA_WITH_TENSORRT, and of what: TensorRT_*.
#
# Headers that were named, or plugins that were asked for, and do not fit end the configuration here.
# Where CUDA is and no headers are, tools/trt_headers.py gets the public ones, so that a plain
# `pip install .` has the plugin.
option(POSEMAMBA_TENSORRT_HEADERS
       "Run tools/trt_headers.py, which downloads TensorRT's headers, where CUDA is and they are not" ON)
set(POSEMAMBA_WITH_TENSORRT OFF)
set(_tensorrt_reason "")
set(_asked OFF)
if(POSEMAMBA_TENSORRT STREQUAL "OFF")
  set(_tensorrt_reason "POSEMAMBA_TENSORRT=OFF")
else()
  find_package(TensorRT QUIET)
  if(NOT TensorRT_FOUND
     AND POSEMAMBA_WITH_CUDA
     AND POSEMAMBA_TENSORRT_HEADERS
     AND NOT TENSORRT_INCLUDE_DIR
     AND NOT TENSORRT_ROOT
     AND NOT CMAKE_CROSSCOMPILING)
    find_package(Python3 QUIET COMPONENTS Interpreter)
    if(Python3_Interpreter_FOUND)
      execute_process(
        COMMAND "${Python3_EXECUTABLE}" "${PROJECT_SOURCE_DIR}/tools/trt_headers.py"
        ERROR_VARIABLE _said
        ERROR_STRIP_TRAILING_WHITESPACE)
      message(STATUS "${_said}")
      find_package(TensorRT QUIET)
    endif()
  endif()
  if(POSEMAMBA_TENSORRT STREQUAL "ON" OR TENSORRT_INCLUDE_DIR OR TENSORRT_ROOT)
    set(_asked ON)
  endif()
  set(_libraries "")
  if(NOT CMAKE_CROSSCOMPILING AND NOT TensorRT_FLAVOR STREQUAL "TensorRT-RTX")
    file(GLOB _libraries "${TENSORRT_ROOT}/lib/libnvinfer.so.*"
         "/usr/lib/${CMAKE_SYSTEM_PROCESSOR}-linux-gnu/libnvinfer.so.*")
  endif()
  if(NOT TensorRT_FOUND)
    set(_tensorrt_reason "no NvInferRuntime.h; name its folder with -DTENSORRT_INCLUDE_DIR= or run \
tools/trt_headers.py")
  elseif(NOT TensorRT_SUPPORTED)
    set(_tensorrt_reason "the headers in ${TensorRT_INCLUDE_DIR} are those of ${TensorRT_FLAVOR} \
${TensorRT_VERSION}, the plugins are made for TensorRT 10.3 to 11.x and TensorRT-RTX 1.x")
  elseif(_libraries AND NOT _libraries MATCHES "libnvinfer\\.so\\.1[01]")
    set(_tensorrt_reason "this machine's TensorRT is ${_libraries}, which opens no plugins made for \
TensorRT 10.3 to 11.x")
  elseif(NOT POSEMAMBA_WITH_CUDA)
    set(_tensorrt_reason "the CUDA kernels are not (${_cuda_reason})")
  else()
    set(POSEMAMBA_WITH_TENSORRT ON)
  endif()
endif()

if(POSEMAMBA_WITH_TENSORRT)
  message(STATUS "TensorRT plugins: built against the headers of ${TensorRT_FLAVOR} "
                 "${TensorRT_VERSION} in ${TensorRT_INCLUDE_DIR}")
elseif(_asked)
  message(FATAL_ERROR "The TensorRT plugins were asked for, but cannot be built: ${_tensorrt_reason}")
else()
  message(STATUS "TensorRT plugins: not built (${_tensorrt_reason})")
endif()
