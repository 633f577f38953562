// peak FILE COMMAND...: runs a command and writes the most memory it had resident, in bytes, to FILE.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

int main(int argc, char** argv)
{
    if (argc < 3)
        return std::fprintf(stderr, "usage: peak FILE COMMAND...\n"), 2;
    pid_t child = fork();
    if (child == 0) {
        execvp(argv[2], argv + 2);
        std::perror(argv[2]);
        _exit(127);
    }
    int status;
    struct rusage usage;
    if (child < 0 || wait4(child, &status, 0, &usage) < 0)
        return std::perror("peak"), 1;
    std::FILE* file = std::fopen(argv[1], "w");
    if (file == nullptr)
        return std::perror(argv[1]), 1;
    std::fprintf(file, "%lld\n", usage.ru_maxrss * 1024LL);
    std::fclose(file);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
