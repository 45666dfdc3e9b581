# Warnings are errors in this repository's own builds alone: whoever takes it into a project
# (FetchContent, add_subdirectory) may have a compiler whose warnings we have not seen.
option(POSEMAMBA_WERROR "Warnings are errors" ${PROJECT_IS_TOP_LEVEL})
