// SPDX-License-Identifier: BSL-1.0
// The demo as scripts/demo starts it.
#if defined(DTASK_TEST_WITH_RECOGNISE)
#include <doctest/doctest.h>

#include <chrono>
#include <string>

#include "faults/process.hpp"
#include "faults/scratch.hpp"
#include "program.hpp"

using faults::process;
namespace fs = std::filesystem;

TEST_CASE("recognise demo: trains, loses a worker and answers everything") {
  const auto data = dtask_test::data();
  if (!data) return;
  const faults::scratch folder;
  process demo({(dtask_test::build_dir() / "examples" / "recognise" / "recognise_demo").string(),
                (*data / "fashion-mnist").string(), folder.file("weights.safetensors")});
  const auto end = demo.wait(std::chrono::seconds(170));
  const std::string said = demo.text(process::out);
  CAPTURE(said);
  CAPTURE(demo.text(process::err));
  REQUIRE(end.has_value());
  CHECK(end->code == 0);
  for (const char* part : {"killing worker-", "started worker-3", "(killed)", "(replacement)", "jobs placed again",
                           "last pass          10000/10000"})
    CHECK(said.find(part) != std::string::npos);
  CHECK(fs::file_size(folder.file("weights.safetensors")) > 400000);
}

TEST_CASE("recognise demo: a folder without the data is named, with exit code 2") {
  const faults::scratch folder;
  process demo({(dtask_test::build_dir() / "examples" / "recognise" / "recognise_demo").string(), folder.file("")});
  const auto end = demo.wait(std::chrono::seconds(60));
  REQUIRE(end.has_value());
  CHECK(end->code == 2);
  CHECK(demo.text(process::err).find("train-images-idx3-ubyte.gz") != std::string::npos);
}
#endif
