# SPDX-License-Identifier: BSL-1.0
"""The lint tests find what they are for."""
import pathlib
import tempfile
import unittest

import co_await
import form
import format as layout
import nouns
import plain_text
import rooms


class CoAwait(unittest.TestCase):
    def refused(self, text):
        self.assertTrue(co_await.check_text(text), text)

    def accepted(self, text):
        self.assertEqual(co_await.check_text(text), [], text)

    def test_conditions(self):
        self.refused("if (co_await f(a) > 3) {}")
        self.refused("if (x = co_await f()) {}")
        self.refused("if (p->x = co_await f()) {}")
        self.refused("while ((co_await x).has_value()) {}")
        self.refused("do { } while (co_await x);")
        self.refused("switch (co_await x) {}")
        self.refused("for (;co_await x;) {}")
        self.refused("if constexpr (a) { if (!co_await x) y(); }")
        self.refused("if (auto a = f(); co_await a) {}")
        self.refused("if (f(co_await g())) {}")
        self.accepted("while (auto r = co_await out.next()) { use(*r); }")
        self.accepted("if (const auto& r = co_await x; r) {}")
        self.accepted("if (auto r = co_await x) { if (r) { g{}; } }")
        self.accepted("if (std::optional<int> r = co_await x) {}")
        self.accepted("for (auto v : co_await all()) { T{}; }")
        self.accepted("auto r = co_await x; if (r) { y(); }")
        self.accepted("if (ready) { co_await x; }")
        self.accepted("if (true) spawn([](int n) -> task<int> { co_return co_await f(n); });")

    def test_braces(self):
        self.refused("co_await c.call<classify>(image{id, jpeg});")
        self.refused('auto x = co_await f({.name = "x"});')
        self.refused("g(co_await f(), T{});")
        self.refused("co_await f([&] { return 1; });")
        self.refused("co_await f([](int) {});")
        self.accepted("auto x = T{}; co_await f(x);")
        self.accepted("co_await f(v[i], a[0][j]);")
        self.accepted("T t{co_await f()}; U u{1};")
        self.accepted("auto operator co_await() { return T{}; }")
        self.accepted('// co_await f({})\nauto s = "co_await g({})"; T{};')
        self.accepted("auto body = [](cluster& c) -> task<int> { co_return co_await c.go(); }; T{};")

    def test_captures(self):
        self.refused("co_await f([&x](int));")
        self.refused("co_await f([=]);")
        self.accepted("co_await f(x[i]);")

    def test_markdown(self):
        text = "a\n```cpp\nif (co_await x) {}\n```\n"
        self.assertEqual([line for line, _ in co_await.check_markdown(text)], [3])
        self.assertEqual(co_await.check_markdown("<!-- lint: refused -->\n" + text[2:]), [])


class PlainText(unittest.TestCase):
    def refused(self, text, count=1):
        self.assertEqual(len(plain_text.check_text(text)), count, (text, plain_text.check_text(text)))

    def accepted(self, text):
        self.refused(text, 0)

    def test_streams_and_the_c_library(self):
        self.refused("#include <iostream>\n")
        self.refused("#include <sstream>  // <fstream>\n")
        self.refused("std::ostringstream out;")
        self.refused("out = std::stod(text);")
        self.refused("const int n = atoi(text);")
        self.refused("::setlocale(LC_ALL, name);")
        self.refused("if (std::isdigit(c)) {}")
        self.refused("std::sscanf(text, s, &n);")
        self.accepted("// std::cout << x\nauto s = \"std::stod\"; stream.push(x); r.atoi(1); z::isdigit(c);")
        self.accepted("return std::to_string(count) + std::to_string(n * 2);")
        self.refused("return std::to_string(static_cast<double>(n) * 1e-9);")
        self.refused("return std::to_string(2.5);")

    def test_formats(self):
        self.refused('std::printf("%.1f s", x);')
        self.refused('std::printf("%5.*Lg", 2, x);')
        self.refused('std::printf("%d %%, %+e", n, x);')
        self.accepted('std::printf("%d %%d %s %zu%% free\\n", n, s, z);')

    def test_options(self):
        self.refused('app.add_option("--n", n, "a number");')
        self.refused('app.add_option<int>("--n", n);')
        self.refused('app.add_option_function<double>("--n", f);')
        self.refused('o->check(CLI::Range(1, 2));')
        self.accepted('app.add_option<std::string>("--n", n); app.add_option<std::vector<std::string>>("paths", p);')
        self.accepted('app.add_option_function<std::string>("--n", f)->type_name("N"); app.add_flag("--json", json);')

    def test_what(self):
        self.refused("try {} catch (const std::exception& e) { log(e.what()); }")
        self.refused("try {} catch (const error& e) { if (a) { return e.what(); } }")
        self.refused("void complain(const std::exception& e) { print(e.what()); }")
        self.accepted("try {} catch (const error& e) { log(message_of(e)); }")
        self.accepted("if (error bad = f()) log(bad.what()); try {} catch (const error& e) {} log(e.what());")

    def test_lines(self):
        self.assertEqual(plain_text.check_text('int a;\n\nstd::printf("%f", x);\n')[0][0], 3)


class Nouns(unittest.TestCase):
    def problems(self, files, without=None):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                path = pathlib.Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return nouns.check(folder, without or {})

    def test_nouns(self):
        header = {"include/dtask/job/a.hpp": "#pragma once\n"}
        good = '#include "dtask/job/a.hpp"\nTEST_CASE("a") {}\n'
        for ending in ("test.cpp", "process.test.cpp"):
            self.assertEqual(self.problems({**header, f"tests/job/a.{ending}": good}), [])
        self.assertEqual(self.problems(header), ["job/a: tests/job/a.test.cpp is missing"])
        self.assertIn("missing", self.problems({**header, "tests/node/a.test.cpp": good, "tests/job/a_b.test.cpp": good})[0])
        self.assertIn("tests nothing", self.problems({**header, "tests/job/a.test.cpp": good.replace("TEST_CASE", "// TEST_CASE")})[0])
        self.assertIn("does not include", self.problems({**header, "tests/job/a.test.cpp": good.replace("/a.hpp", "/b.hpp")})[0])
        # What is private, and what lies in other rooms, is not asked for.
        self.assertEqual(self.problems({"include/dtask/job/detail/a.hpp": "", "include/dtask/net/a.hpp": "", "include/dtask/job.hpp": ""}), [])

    def test_exceptions(self):
        header = {"include/dtask/job/a.hpp": "#pragma once\n"}
        self.assertEqual(self.problems(header, {"job/a": "an interface"}), [])
        self.assertIn("without a reason", self.problems(header, {"job/a": " "})[0])
        self.assertIn("no such header", self.problems({}, {"job/a": "an interface"})[0])
        test = {"tests/job/a.test.cpp": '#include "dtask/job/a.hpp"\nTEST_CASE("a") {}\n'}
        self.assertIn("no exception", self.problems({**header, **test}, {"job/a": "an interface"})[0])


class Rooms(unittest.TestCase):
    def problems(self, files):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                path = pathlib.Path(folder) / "include" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return rooms.check(pathlib.Path(folder) / "include"), form.check(folder)

    def test_graph(self):
        one = '#pragma once\n'
        graph, _ = self.problems({"dtask/task/a.hpp": '#include "dtask/wire/b.hpp"\n', "dtask/wire/b.hpp": one})
        self.assertIn("may not include dtask/wire/b.hpp", graph[0])
        graph, _ = self.problems({"dtask/task/a.hpp": '#include "dtask/task/b.hpp"\n', "dtask/task/b.hpp": '#include "dtask/task/a.hpp"\n'})
        self.assertIn("ring: ", graph[0])
        graph, _ = self.problems({"dtask/wire/a.hpp": '#include "dtask/task/detail/b.hpp"\n', "dtask/task/detail/b.hpp": one})
        self.assertIn("private", graph[0])
        graph, _ = self.problems({"dtask/sim/a.hpp": '#include "dtask/runtime/b.hpp"\n', "dtask/runtime/b.hpp": one})
        self.assertIn("room sim may not", graph[0])
        graph, _ = self.problems({"dtask/sim/a.hpp": "#include <boost/asio/post.hpp>\n"})
        self.assertIn("standard library alone", graph[0])
        graph, _ = self.problems({"dtask/net/a.hpp": "#include <iostream>\n#include <boost/asio.hpp>\n#include <boost/asio/post.hpp>\n"})
        self.assertEqual(len(graph), 2)
        graph, _ = self.problems({"dtask/net/a.hpp": '#include "dtask/task.hpp"\n', "dtask/task.hpp": one})
        self.assertIn("umbrella", graph[0])
        graph, _ = self.problems({"dtask/node/a.hpp": '#include "dtask/task/b.hpp"\n#include <vector>\n', "dtask/task/b.hpp": one})
        self.assertEqual(graph, [])

    def test_parts_are_for_rooms(self):
        files = {"dtask/task/parts/b.hpp": "#pragma once\n", "dtask/net/a.hpp": '#pragma once\n#include "dtask/task/parts/b.hpp"\n',
                 "dtask/net.hpp": '#pragma once\n#include "dtask/net/a.hpp"\n'}
        self.assertEqual(self.problems(files), ([], []))
        graph, _ = self.problems({**files, "dtask/base/a.hpp": files["dtask/net/a.hpp"]})
        self.assertIn("room base may not include dtask/task/parts/b.hpp", graph[0])
        graph, _ = self.problems({**files, "dtask/task.hpp": '#include "dtask/task/parts/b.hpp"\n'})
        self.assertIn("not for programs", graph[0])
        with tempfile.TemporaryDirectory() as folder:
            for user in ("examples", "tests/net"):
                path = pathlib.Path(folder) / user / "a.cpp"
                path.parent.mkdir(parents=True)
                path.write_text('#include "dtask/task/parts/b.hpp"\n')
            self.assertEqual([p.split(":")[0] for p in rooms.check_users(folder)], ["examples/a.cpp"])

    def test_folders_follow_namespaces(self):
        shown = "#pragma once\nDTASK_BEGIN\nclass b;\nnamespace detail {\nstruct c { int n{}; };\n}\nint f();\nDTASK_END\n"
        hidden = shown.replace("int f();\n", "")
        umbrella = {"dtask/task.hpp": '#pragma once\n#include "dtask/task/a.hpp"\n'}
        self.assertEqual(self.problems({"dtask/task/a.hpp": shown, **umbrella})[1], [])
        self.assertIn("nothing for programs", self.problems({"dtask/task/a.hpp": hidden, **umbrella})[1][0])
        for folder in ("task/parts", "task/detail", "control"):
            found = self.problems({f"dtask/{folder}/a.hpp": hidden, "dtask/control.hpp": '#include "dtask/control/a.hpp"\n'})[1]
            self.assertEqual([p for p in found if "a.hpp: " in p and not p.startswith("dtask/control.hpp")], [], found)
        self.assertIn("namespace detail", self.problems({"dtask/task/parts/a.hpp": shown})[1][0])

    def test_length(self):
        def found(name, lines):
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder) / "include" / name
                path.parent.mkdir(parents=True)
                path.write_text("#pragma once\n" * lines)
                return form.check_length(folder)
        self.assertEqual(found("dtask/net/a.hpp", 400), [])
        self.assertIn("401 lines", found("dtask/net/a.hpp", 401)[0])
        self.assertIn("401 lines", found("dtask/net/impl/a.ipp", 401)[0])

    def test_internal_namespaces(self):
        shows = "#pragma once\nwire::link f();\n"
        graph, _ = self.problems({"dtask/node/a.hpp": shows})
        self.assertIn("names wire::, which is internal", graph[0])
        graph, _ = self.problems({"dtask/node/a.hpp": "#pragma once\nnamespace control { class b; }\n"})
        self.assertIn("names namespace control", graph[0])
        graph, _ = self.problems({"dtask/node/detail/a.hpp": shows, "dtask/node/impl/a.ipp": shows, "dtask/sim/a.hpp": shows,
                                  "dtask/node/b.hpp": "#pragma once\n// a wire::link\ninternet::link f();\n"})
        self.assertEqual(graph, [])

    def test_what_the_compiled_library_shows(self):
        files = {"dtask/node.hpp": '#include "dtask/node/a.hpp"\n', "dtask/node/a.hpp": '#include "dtask/node/detail/b.hpp"\n',
                 "dtask/node/detail/b.hpp": "#include <boost/asio/post.hpp>\n"}
        graph, _ = self.problems(files)
        self.assertIn("node/a.hpp -> dtask/node/detail/b.hpp -> boost/asio/post.hpp", graph[0])
        files["dtask/node/a.hpp"] = '#include "dtask/node/impl/a.ipp"\n'
        files["dtask/node/impl/a.ipp"] = '#include "dtask/node/detail/b.hpp"\n'
        graph, _ = self.problems(files)
        self.assertEqual(graph, [])

    def test_the_trainer_is_included_by_name(self):
        files = {"dtask/torch/trainer.hpp": "#pragma once\n#include <torch/nn/module.h>\n#include <torch/optim/sgd.h>\n",
                 "dtask/torch/a.hpp": "#pragma once\n#include <torch/types.h>\n",
                 "dtask/torch.hpp": '#pragma once\n#include "dtask/torch/a.hpp"\n'}
        self.assertEqual(self.problems(files), ([], []))
        files["dtask/torch.hpp"] += '#include "dtask/torch/trainer.hpp"\n'
        graph, found = self.problems(files)
        self.assertIn("torch.hpp -> dtask/torch/trainer.hpp -> torch/nn/module.h", graph[0])
        self.assertIn("trainer.hpp is included by name only", found[0])
        graph, _ = self.problems({"dtask/torch/trainer.hpp": "#include <torch/torch.h>\n#include <torch/nn/modules/conv.h>\n"})
        self.assertEqual(len(graph), 2)

    def test_form(self):
        _, found = self.problems({"dtask/task/a.hpp": "#pragma once\nDTASK_BEGIN\nint f();\nDTASK_END\n"})
        self.assertIn("no umbrella", found[0])
        _, found = self.problems({"dtask/task/a.hpp": "#pragma once\n", "dtask/task.hpp": '#pragma once\n#include "dtask/task/a.hpp"\n'})
        self.assertEqual(found, [])
        _, found = self.problems({"dtask/task/a.hpp": "#pragma once\nnamespace dtask {}\n", "dtask/task.hpp": '#pragma once\n#include "dtask/task/a.hpp"\n'})
        self.assertIn("DTASK_BEGIN", found[0])


class Format(unittest.TestCase):
    def problems(self, files, tool=None):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                (pathlib.Path(folder) / name).write_text(text)
            return layout.check(pathlib.Path(folder), tool)

    def test_licence_and_columns(self):
        licence = "// SPDX-License-Identifier: BSL-1.0\n"
        self.assertIn("SPDX", self.problems({"a.cpp": "int a;\n"})[0])
        self.assertIn("a.md:2: 121 columns", self.problems({"a.md": licence + "a" * 60 + " " + "b" * 60})[0])
        self.assertEqual(self.problems({"a.cpp": licence + "int a;\n", "a.md": licence + "|" + "a " * 80}), [])

    def test_clang_format(self):
        tool = layout.clang_format()
        if not tool:
            self.skipTest("clang-format 19 is not installed")
        self.assertIn("error:", self.problems({"a.cpp": "// SPDX-License-Identifier: BSL-1.0\nint  a;\n"}, tool)[0])


if __name__ == "__main__":
    unittest.main()
