# Running engines without a GPU: a driver and a TensorRT that are fakes (README.md), and the tests that use them.
#   fake_cuda/libcuda.so.1                                              on LD_LIBRARY_PATH for a program of its own
#   fake_runtime/libnvinfer.so.8, .10, .11 and libnvinfer_lean.so.8     in TF2TRT_NVINFER
#   fakes/builder-8600 and its like                                     put where a test wants it
add_library(fake-cuda SHARED support/fake_cuda_graphs.cpp support/fake_cuda_memory.cpp support/fake_cuda_streams.cpp
                             support/fake_cuda_world.cpp)
target_link_libraries(fake-cuda PRIVATE Threads::Threads)
set_target_properties(fake-cuda PROPERTIES OUTPUT_NAME cuda SOVERSION 1
                                           LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/fake_cuda)

add_executable(tf2trt-runtime-tests
  runtime/builder_flags_test.cpp runtime/calibrator_error_test.cpp runtime/calibrator_test.cpp
  runtime/engine_test.cpp runtime/fake_cuda_test.cpp runtime/fake_graph_test.cpp runtime/fake_memory_test.cpp
  runtime/hybrid_build_test.cpp runtime/hybrid_test.cpp runtime/layer_precision_test.cpp runtime/memory_test.cpp
  runtime/session_parts_test.cpp runtime/session_test.cpp)
target_link_libraries(tf2trt-runtime-tests PRIVATE tf2trt tf2trt_hybrid fake-cuda GTest::gtest_main Threads::Threads)
# An RPATH, unlike a RUNPATH, comes before LD_LIBRARY_PATH, where a machine with a GPU may have its driver.
target_link_options(tf2trt-runtime-tests PRIVATE -Wl,--disable-new-dtags)
target_compile_definitions(tf2trt-runtime-tests PRIVATE
                           TF2TRT_FAKE_RUNTIME="${CMAKE_CURRENT_BINARY_DIR}/fake_runtime")

function(fake_runtime number file)
  add_library(fake-runtime-${file} MODULE support/fake_context.cpp support/fake_models.cpp support/fake_runtime.cpp)
  target_compile_definitions(fake-runtime-${file} PRIVATE FAKE_NUMBER=${number} ${ARGN})
  target_link_libraries(fake-runtime-${file} PRIVATE ${CMAKE_DL_LIBS})
  set_target_properties(fake-runtime-${file} PROPERTIES PREFIX "" SUFFIX "" OUTPUT_NAME ${file}
                        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/fake_runtime)
  target_include_directories(fake-runtime-${file} PRIVATE . ${PROJECT_SOURCE_DIR}/cpp)
  target_compile_options(fake-runtime-${file} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -fvisibility=default)
  add_dependencies(tf2trt-runtime-tests fake-runtime-${file})
endfunction()
fake_runtime(8600 libnvinfer.so.8 FAKE_BUILDER)
fake_runtime(101601 libnvinfer.so.10 FAKE_BUILDER)
fake_runtime(110400 libnvinfer.so.11 FAKE_BUILDER)
fake_runtime(8600 libnvinfer_lean.so.8)

# A TensorRT that builds, without a plan to run: support/fake_build.hpp.
foreach(number 8501 8600 8601 100001 101601 110100 10701)
  add_library(fake-builder-${number} MODULE support/fake_builder.cpp support/fake_calibration.cpp)
  target_compile_definitions(fake-builder-${number} PRIVATE FAKE_NUMBER=${number})
  target_link_libraries(fake-builder-${number} PRIVATE ${CMAKE_DL_LIBS})
  set_target_properties(fake-builder-${number} PROPERTIES PREFIX "" SUFFIX "" OUTPUT_NAME builder-${number}
                        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/fakes)
  target_include_directories(fake-builder-${number} PRIVATE . ${PROJECT_SOURCE_DIR}/cpp)
  target_compile_options(fake-builder-${number} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -fvisibility=default
                                                        -fno-sanitize=vptr)
  add_dependencies(tf2trt-runtime-tests fake-builder-${number})
endforeach()
# A TensorRT that builds and runs.
foreach(number 8600 101601 110400)
  add_library(fake-whole-${number} MODULE support/fake_builder.cpp support/fake_calibration.cpp
                                          support/fake_context.cpp support/fake_models.cpp support/fake_runtime.cpp)
  target_compile_definitions(fake-whole-${number} PRIVATE FAKE_NUMBER=${number} FAKE_BUILDER FAKE_BUILDS)
  target_link_libraries(fake-whole-${number} PRIVATE ${CMAKE_DL_LIBS})
  set_target_properties(fake-whole-${number} PROPERTIES PREFIX "" SUFFIX "" OUTPUT_NAME whole-${number}
                        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/fakes)
  target_include_directories(fake-whole-${number} PRIVATE . ${PROJECT_SOURCE_DIR}/cpp)
  target_compile_options(fake-whole-${number} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -fvisibility=default
                                                      -fno-sanitize=vptr)
  add_dependencies(tf2trt-runtime-tests fake-whole-${number})
endforeach()
target_compile_definitions(tf2trt-runtime-tests PRIVATE TF2TRT_FAKES="${CMAKE_CURRENT_BINARY_DIR}/fakes")

foreach(target fake-cuda tf2trt-runtime-tests)
  target_include_directories(${target} PRIVATE . ${PROJECT_SOURCE_DIR}/cpp ${PROJECT_SOURCE_DIR}/cpp/src)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -fvisibility=default)
endforeach()
gtest_discover_tests(tf2trt-runtime-tests DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 120)
