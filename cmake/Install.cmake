# What is installed where. Each library is built once, for every layout:
#   the system's, by `cmake --install`: lib, include, CMake and pkg-config files
#   `wheel`, of the repository's Python package: a lib folder in each package that loads it
#   `runtime_wheel`, of deploy/python: all in posemamba_runtime/lib
include(GNUInstallDirs)

# <component> <folder> <target>...: the libraries that this build has, as plain files.
function(posemamba_install_wheel component folder)
  foreach(_target IN LISTS ARGN)
    if(TARGET ${_target})
      # A wheel holds no links: the file that the versioned names would point at, by its plain name.
      install(
        FILES $<TARGET_FILE:${_target}>
        DESTINATION ${folder}
        RENAME $<TARGET_FILE_PREFIX:${_target}>$<TARGET_FILE_BASE_NAME:${_target}>.so
        PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ
                    WORLD_EXECUTE
        COMPONENT ${component} EXCLUDE_FROM_ALL)
    endif()
  endforeach()
endfunction()

set(_adapters posemamba_ort posemamba_trt)
posemamba_install_wheel(wheel posemamba/lib posemamba_kernels posemamba_cuda_shared)
posemamba_install_wheel(wheel pmexport/lib ${_adapters})
posemamba_install_wheel(wheel posemamba_runtime/lib posemamba_runtime)
posemamba_install_wheel(runtime_wheel posemamba_runtime/lib posemamba_runtime ${_adapters})

if(POSEMAMBA_RUNTIME)
  # What deploy/python needs of this build, and no more.
  add_custom_target(runtime_wheel)
  foreach(_target IN ITEMS posemamba_runtime ${_adapters})
    if(TARGET ${_target})
      add_dependencies(runtime_wheel ${_target})
    endif()
  endforeach()

  # The runtime finds the op library and the plugin beside itself.
  foreach(_target IN LISTS _adapters)
    if(TARGET ${_target})
      install(TARGETS ${_target} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
    endif()
  endforeach()
  add_library(posemamba::runtime ALIAS posemamba_runtime)
  set_target_properties(posemamba_runtime PROPERTIES EXPORT_NAME runtime)
  install(
    TARGETS posemamba_runtime
    EXPORT posemambaTargets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(DIRECTORY deploy/cpp/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

  include(CMakePackageConfigHelpers)
  set(_package ${CMAKE_INSTALL_LIBDIR}/cmake/posemamba)
  install(EXPORT posemambaTargets NAMESPACE posemamba:: DESTINATION ${_package})
  configure_package_config_file(deploy/cpp/cmake/posemambaConfig.cmake.in posemambaConfig.cmake
                                INSTALL_DESTINATION ${_package})
  # A minor version may add to the interface while the first number is 0.
  write_basic_package_version_file(posemambaConfigVersion.cmake COMPATIBILITY SameMinorVersion)
  install(FILES "${CMAKE_CURRENT_BINARY_DIR}/posemambaConfig.cmake"
                "${CMAKE_CURRENT_BINARY_DIR}/posemambaConfigVersion.cmake"
          DESTINATION ${_package})
  # Relative to the file, so that a package can be unpacked anywhere.
  file(RELATIVE_PATH POSEMAMBA_PREFIX_FROM_PC "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
  configure_file(deploy/cpp/cmake/posemamba.pc.in posemamba.pc @ONLY)
  install(FILES "${CMAKE_CURRENT_BINARY_DIR}/posemamba.pc"
          DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endif()
