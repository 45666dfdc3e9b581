# `cpack` in the build folder: posemamba_<version>_<architecture>.deb and a .tar.gz.
set(CPACK_GENERATOR DEB TGZ)
set(CPACK_PACKAGE_NAME posemamba)
set(CPACK_PACKAGE_VENDOR "PoseMamba")
set(CPACK_PACKAGE_CONTACT "The maintainers of this repository")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Runtime that lifts live 2D keypoints to 3D poses")
set(CPACK_PACKAGE_DESCRIPTION
    "A library with a C interface and a C++ one over it, the operators for ONNX Runtime, and where the
build has CUDA the plugin for TensorRT. It opens ONNX Runtime or TensorRT at run time.")
# Files of ours for all of these: CPack's own lie in the folder of the CMake that configured, which
# pip has removed by the time a package is made.
set(CPACK_RESOURCE_FILE_LICENSE "${PROJECT_SOURCE_DIR}/LICENSE")
foreach(_file IN ITEMS PACKAGE_DESCRIPTION_FILE RESOURCE_FILE_README RESOURCE_FILE_WELCOME)
  set(CPACK_${_file} "${PROJECT_SOURCE_DIR}/deploy/README.md")
endforeach()
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION libs)
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "aarch64")
  set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE arm64)
else()
  set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE amd64)
endif()
# ONNX Runtime, TensorRT and CUDA's driver are opened at run time: the C library is all it links. No
# older one than the one it was built with; dpkg-shlibdeps would not serve a cross-build.
execute_process(
  COMMAND "${CMAKE_CXX_COMPILER}" -x c++ -dM -E -include features.h /dev/null
  OUTPUT_VARIABLE _macros
  ERROR_QUIET)
if(_macros MATCHES "__GLIBC_MINOR__ ([0-9]+)")
  set(CPACK_DEBIAN_PACKAGE_DEPENDS "libc6 (>= 2.${CMAKE_MATCH_1})")
endif()
# The loader's cache has to learn the new library.
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA "${PROJECT_SOURCE_DIR}/deploy/cpp/cmake/triggers")
include(CPack)
