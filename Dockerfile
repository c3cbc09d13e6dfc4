# One image with every program of minikv; a container names the one that it runs:
#   docker build -t minikv:0.1.0 . && docker run --rm minikv:0.1.0 minikv --version
FROM node:24-slim AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm install --no-save
COPY . .
# The list of files is image/files.ts; the tests build the same tree without Docker.
# --failpoints keeps the steps at which tests end a process; a release has none.
ARG BUILD_FLAGS=
RUN npm run build -- $BUILD_FLAGS && node image/main.ts /image

FROM node:24-slim
COPY --from=build /image /
# A named volume of Docker takes its owner from here.
RUN mkdir /data && chown 1000:1000 /data
WORKDIR /minikv
ENV NODE_ENV=production
# By number, so that Kubernetes can see that it is not root. Nothing writes to the root file system.
USER 1000:1000
ENTRYPOINT []
CMD ["minikv", "--help"]
