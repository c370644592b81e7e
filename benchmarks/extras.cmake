# SPDX-License-Identifier: BSL-1.0
# What single benchmarks need beside the room that they measure.
if(TARGET dtask_bench_torch_recognition)
  if(TARGET recognise_parts)
    target_link_libraries(dtask_bench_torch_recognition PRIVATE recognise_parts)
    target_compile_definitions(dtask_bench_torch_recognition PRIVATE DTASK_BENCH_PEERS="${CMAKE_CURRENT_SOURCE_DIR}/peers")
  else()
    # It measures the example's job.
    set_target_properties(dtask_bench_torch_recognition PROPERTIES EXCLUDE_FROM_ALL TRUE)
  endif()
endif()
# With DTASK_DEVICE=cuda:N they measure a device.
if(TARGET dtask_bench_torch_training AND TARGET LibTorch::cuda)
  target_link_libraries(dtask_bench_torch_training PRIVATE dtask_cuda)
  target_compile_definitions(dtask_bench_torch_training PRIVATE DTASK_BENCH_WITH_CUDA)
endif()
foreach(name IN ITEMS torch_loading torch_training)
  if(TARGET dtask_bench_${name})
    target_compile_definitions(dtask_bench_${name} PRIVATE DTASK_BENCH_PEERS="${CMAKE_CURRENT_SOURCE_DIR}/peers")
  endif()
endforeach()
