# `cmake --install`: the executable, and the libraries with a package config for find_package(strait).

include(CMakePackageConfigHelpers)
set(strait_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/strait")

foreach(module IN LISTS strait_modules)
  install(TARGETS strait_${module} EXPORT straitTargets)
endforeach()
install(TARGETS strait)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/strait" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT straitTargets NAMESPACE strait:: DESTINATION "${strait_package_dir}")

configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/straitConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/generated/straitConfig.cmake" INSTALL_DESTINATION "${strait_package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/generated/straitConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/generated/straitConfig.cmake"
              "${PROJECT_BINARY_DIR}/generated/straitConfigVersion.cmake"
              "${CMAKE_CURRENT_LIST_DIR}/StraitDependencies.cmake"
              "${CMAKE_CURRENT_LIST_DIR}/StraitMpi.cmake"
        DESTINATION "${strait_package_dir}")
