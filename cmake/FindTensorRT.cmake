# TensorRT's or TensorRT-RTX's headers; no library is looked for, since none is linked.
#
# Looked for in -DTENSORRT_INCLUDE_DIR= (the folder of NvInferRuntime.h), then under TENSORRT_ROOT
# (variable or environment), in the folders of tools/trt_headers.py, and where the SDK's packages
# and JetPack put them.
#
# Sets TensorRT_FOUND, TensorRT_INCLUDE_DIR, TensorRT_VERSION, TensorRT_FLAVOR ("TensorRT" or
# "TensorRT-RTX") and TensorRT_SUPPORTED (whether the plugins are made for that release).
set(TENSORRT_INCLUDE_DIR "" CACHE PATH "Folder of NvInferRuntime.h; empty: look for it")
if(TENSORRT_INCLUDE_DIR)
  find_file(TensorRT_HEADER NvInferRuntime.h PATHS "${TENSORRT_INCLUDE_DIR}" NO_DEFAULT_PATH NO_CACHE)
else()
  find_file(
    TensorRT_HEADER NvInferRuntime.h
    HINTS "${TENSORRT_ROOT}" ENV TENSORRT_ROOT
    PATHS "${CMAKE_CURRENT_LIST_DIR}/../build/tensorrt-headers"
          "${CMAKE_CURRENT_LIST_DIR}/../.whl/tensorrt-headers"
          /usr/local/tensorrt
          /opt/tensorrt
          /usr/include/${CMAKE_SYSTEM_PROCESSOR}-linux-gnu
    PATH_SUFFIXES include
    NO_CACHE)
endif()

if(TensorRT_HEADER)
  get_filename_component(TensorRT_INCLUDE_DIR "${TensorRT_HEADER}" DIRECTORY)
  file(READ "${TensorRT_INCLUDE_DIR}/NvInferVersion.h" _text)
  set(TensorRT_FLAVOR "TensorRT")
  set(_suffix "ENTERPRISE")
  if(_text MATCHES "#define TRT_MAJOR_RTX +[0-9]")
    set(TensorRT_FLAVOR "TensorRT-RTX")
    set(_suffix "RTX")
  endif()
  set(_parts "")
  foreach(_part MAJOR MINOR PATCH)
    # Newer headers define TRT_MAJOR_ENTERPRISE 10, older ones NV_TENSORRT_MAJOR 10.
    if(_text MATCHES "#define (TRT_${_part}_${_suffix}|NV_TENSORRT_${_part}) +([0-9]+)")
      list(APPEND _parts "${CMAKE_MATCH_2}")
    endif()
  endforeach()
  list(JOIN _parts "." TensorRT_VERSION)
  set(TensorRT_SUPPORTED OFF)
  if(TensorRT_FLAVOR STREQUAL "TensorRT-RTX" AND TensorRT_VERSION VERSION_LESS 2)
    set(TensorRT_SUPPORTED ON)
  elseif(TensorRT_VERSION VERSION_GREATER_EQUAL 10.3 AND TensorRT_VERSION VERSION_LESS 12)
    set(TensorRT_SUPPORTED ON)
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  TensorRT
  REQUIRED_VARS TensorRT_INCLUDE_DIR
  VERSION_VAR TensorRT_VERSION)
