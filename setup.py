"""Package discovery for the folders at the top and compilation of the .proto files.

Everything else is declared in pyproject.toml. The folders `api/`, `runtime/`, ... become the packages
`podium.api`,
`podium.runtime`, ...; `podium` itself is a namespace and has no files.
"""

from pathlib import Path
from typing import ClassVar

from setuptools import Command, find_packages, setup
from setuptools.command.build import build
from setuptools.errors import ExecError

ROOT = Path(__file__).parent
FOLDERS = ("api", "client", "control", "runtime", "netd", "storage", "cli")
PROTOS = Path("runtime/protos")


class build_protos(Command):
    """Compiles runtime/protos/*.proto into `podium.runtime.protos`, beside their sources when editable."""

    description = "compile the protocol buffers"
    user_options: ClassVar = []
    editable_mode = False
    build_lib = None

    def initialize_options(self):
        pass

    def finalize_options(self):
        self.set_undefined_options("build_py", ("build_lib", "build_lib"))

    def run(self):
        from grpc_tools import protoc

        include = str(Path(protoc.__file__).parent / "_proto")
        out = ROOT / PROTOS if self.editable_mode else Path(self.build_lib) / "podium" / PROTOS
        out.mkdir(parents=True, exist_ok=True)
        sources = sorted((ROOT / PROTOS).glob("*.proto"))
        if not sources:
            return
        # protoc writes below the virtual path podium/runtime/protos, and imports must name it: compile in a
        # scratch tree
        # whose root stands three levels above `out`.
        import tempfile

        with tempfile.TemporaryDirectory() as scratch:
            status = protoc.main(
                [
                    "protoc",
                    f"-Ipodium/runtime/protos={ROOT / PROTOS}",
                    f"-I{include}",
                    f"--python_out={scratch}",
                    f"--pyi_out={scratch}",
                    *[f"podium/runtime/protos/{source.name}" for source in sources],
                ]
            )
            if status:
                raise ExecError("protoc failed")
            for made in (Path(scratch) / "podium/runtime/protos").iterdir():
                (out / made.name).write_bytes(made.read_bytes())

    def get_source_files(self):
        return [str(path.relative_to(ROOT)) for path in (ROOT / PROTOS).glob("*.proto")]

    def get_outputs(self):
        return []

    def get_output_mapping(self):
        return {}


class build_with_protos(build):
    sub_commands: ClassVar = [*build.sub_commands, ("build_protos", None)]


setup(
    cmdclass={"build": build_with_protos, "build_protos": build_protos},
    packages=[
        f"podium.{name}"
        for folder in FOLDERS
        for name in (folder, *(f"{folder}.{sub}" for sub in find_packages(folder)))
    ],
    package_dir={f"podium.{folder}": folder for folder in FOLDERS},
    package_data={"": ["*.proto", "*.txt", "py.typed"]},
)
