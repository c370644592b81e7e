# What each target needs, in one place for the build tree and for the installed package (which includes this file too).
include_guard(DIRECTORY)

macro(dtask_find_core)
  # Without components: Boost 1.89 dropped the stub of `system`, and only headers are used.
  find_package(Boost 1.81 CONFIG REQUIRED)
  find_package(cereal CONFIG REQUIRED)
  find_package(xxHash MODULE REQUIRED)
  set(THREADS_PREFER_PTHREAD_FLAG ON)
  find_package(Threads REQUIRED)
endmacro()

macro(dtask_find_main)
  find_package(CLI11 CONFIG REQUIRED)
endmacro()

macro(dtask_find_data)
  find_package(JPEG REQUIRED)
  find_package(PNG REQUIRED)
  find_package(Exif MODULE REQUIRED)
  find_package(ZLIB REQUIRED)
endmacro()

macro(dtask_find_torch)
  find_package(LibTorch MODULE REQUIRED)
endmacro()
