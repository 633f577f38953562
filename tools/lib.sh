# What the scripts of this folder and of peers share; to be sourced.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

# Publishes the device binary into a folder, and sets `binary` to its path.
publish_device() { # FOLDER
    local rid framework
    case $(uname -m) in aarch64) rid=linux-arm64 ;; *) rid=linux-x64 ;; esac
    framework=$(dotnet msbuild "$root/src/EdgeSlide.Cli" -getProperty:EdgeSlideAotFramework)
    dotnet publish "$root/src/EdgeSlide.Cli" -c Release -f "$framework" -r "$rid" -o "$1" -v quiet --nologo >&2
    binary=$1/edgeslide
}

# EDGESLIDE_WORKBENCH names a built edgeslide-workbench.dll to use instead of building one.
workbench_dll=${EDGESLIDE_WORKBENCH:-$root/tools/EdgeSlide.Workbench/bin/Release/net10.0/edgeslide-workbench.dll}
workbench() { dotnet "$workbench_dll" "$@"; }
build_workbench() { [ -n "${EDGESLIDE_WORKBENCH:-}" ] || dotnet build -c Release "$root/tools/EdgeSlide.Workbench" -v quiet --nologo >&2; }
