"""The field table, second part: containers (see fields.py)."""

TABLE = """
Container  one container of a pod, app or init
    args                      []string              applied      replaces the image's CMD
    command                   []string              applied      replaces the image's ENTRYPOINT
    env                       []EnvVar              applied      environment variables; the later of two holds
    envFrom                   []EnvFromSource       later        variables from ConfigMaps and Secrets
    image                     string                applied      the image's name; images are local for now
    imagePullPolicy           string                applied      when it is fetched; all images are local for now
    lifecycle                 Lifecycle             applied      what runs after the start and before the end
    livenessProbe             Probe                 applied       the container is restarted when it fails
    name                      string                applied      unique in the pod
    ports                     []ContainerPort       applied      information: every port can be reached
    readinessProbe            Probe                 applied       the container isn't Ready while it fails
    resizePolicy              []ContainerResizePolicy  later        whether new resources need a restart
    resources                 ResourceRequirements  applied      CPU and memory
    restartPolicy             string                applied      the pod's when absent; Always: a sidecar
    restartPolicyRules        []ContainerRestartRule  applied      restart by exit code
    securityContext           SecurityContext       applied      who the process is and what it may do
    startupProbe              Probe                 applied       the other probes wait for it
    stdin                     bool                  applied      standard input stays open, for attach
    stdinOnce                 bool                  applied      until the first attach ends
    terminationMessagePath    string                applied       the file whose text becomes the termination message
    terminationMessagePolicy  string                applied       whether the log stands in for that file
    tty                       bool                  applied      a terminal instead of three pipes
    volumeDevices             []VolumeDevice        later        block devices
    volumeMounts              []VolumeMount         applied      which volumes it sees, and where
    workingDir                string                applied      the image's when absent

EphemeralContainer = Container  a container added to a running pod: Container's fields and one more
    targetContainerName  string  -  whose PID namespace it joins

EnvVar  an environment variable
    name       string        applied  printable ASCII without =
    value      string        applied  the text; $(NAME) refers to an earlier variable
    valueFrom  EnvVarSource  later    where the text comes from

EnvVarSource  where a variable's text comes from
    configMapKeyRef   ConfigMapKeySelector  -  a ConfigMap
    fieldRef          ObjectFieldSelector   -  a field of the pod
    fileKeyRef        FileKeySelector       -  a file of a volume
    resourceFieldRef  ResourceFieldSelector  -  the container's resources
    secretKeyRef      SecretKeySelector     -  a Secret

ConfigMapKeySelector  a key of a ConfigMap
    key       string  -  the key
    name      string  -  of the ConfigMap
    optional  bool    -  it may be missing

SecretKeySelector  a key of a Secret
    key       string  -  the key
    name      string  -  of the Secret
    optional  bool    -  it may be missing

ObjectFieldSelector  a field of the pod
    apiVersion  string  -  v1
    fieldPath   string  -  e.g. metadata.name

FileKeySelector  a variable of an environment file
    key         string  -  the variable
    optional    bool    -  it may be missing
    path        string  -  of the file, within the volume
    volumeName  string  -  the emptyDir it is in

ResourceFieldSelector  a container's request or limit
    containerName  string    -  whose
    divisor        Quantity  -  the unit of the result
    resource       string    -  e.g. limits.memory

EnvFromSource  variables from all keys of an object
    configMapRef  ObjectEnvSource  -  a ConfigMap
    prefix        string           -  put before each name
    secretRef     ObjectEnvSource  -  a Secret

ObjectEnvSource  the object variables come from
    name      string  -  of the ConfigMap or Secret
    optional  bool    -  it may be missing

ContainerPort  a port the container listens on
    containerPort  int32   applied  1 to 65535
    hostIP         string  later    the host's address the port is mapped from
    hostPort       int32   later=0  the host's port it is mapped from
    name           string  applied  an IANA service name, unique in the container
    protocol       string  applied  TCP, UDP or SCTP; TCP when absent

ResourceRequirements  what a container needs and may use
    claims    []ResourceClaim  refused  devices handed out by a cluster driver; not here
    limits    ResourceList     applied  the most it may use
    requests  ResourceList     applied  its share when the machine is busy; the limits when absent

ResourceList  amounts by resource
    cpu                Quantity  applied  cores, e.g. 500m
    memory             Quantity  applied  bytes, e.g. 64Mi
    ephemeral-storage  Quantity  applied  bytes of writable layer and logs; who takes more is evicted
    hugepages-*        Quantity  later    memory in huge pages
    */*                Quantity  later    devices and other resources with a domain before their name

ResourceClaim  one of the pod's resourceClaims
    name     string  -  within the pod
    request  string  -  which part of it

ContainerResizePolicy  what a change of a resource means
    resourceName   string  -  cpu or memory
    restartPolicy  string  -  NotRequired or RestartContainer

ContainerRestartRule  when to restart
    action     string                -  Restart, or RestartAllContainers: the pod in place, init containers first
    exitCodes  ContainerRestartRuleOnExitCodes  -  after which exit codes

ContainerRestartRuleOnExitCodes  a set of exit codes
    operator  string   -  In or NotIn
    values    []int32  -  the codes

SecurityContext  who the container's process is and what it may do
    allowPrivilegeEscalation  bool                  later=true   false: set-uid programs gain nothing
    appArmorProfile           AppArmorProfile       later        the AppArmor profile
    capabilities              Capabilities          later={}     capabilities beyond or short of the default
    privileged                bool                  applied      all capabilities, all devices, nothing masked
    procMount                 string                later=Default  Unmasked: all of /proc
    readOnlyRootFilesystem    bool                  later=false  the root file system can't be written
    runAsGroup                int64                 applied      gid of the first process
    runAsNonRoot              bool                  later=false  refuse to run uid 0
    runAsUser                 int64                 applied      uid of the first process
    seLinuxOptions            SELinuxOptions        later        the SELinux label
    seccompProfile            SeccompProfile        applied      which system calls are allowed
    windowsOptions            WindowsSecurityContextOptions  refused={}   this is not Windows

Capabilities  capabilities by name, without CAP_
    add   []string  -  beyond the default
    drop  []string  -  short of the default

SeccompProfile  which system calls are allowed
    localhostProfile  string  later        a file of the host
    type              string  later=Unconfined  Unconfined is how it is now

AppArmorProfile  which AppArmor profile
    localhostProfile  string  -  a profile loaded on the host
    type              string  -  Unconfined, RuntimeDefault or Localhost

SELinuxOptions  the SELinux label
    level  string  -  its level
    role   string  -  its role
    type   string  -  its type
    user   string  -  its user

WindowsSecurityContextOptions  for Windows only
    gmsaCredentialSpec      string  -  credentials
    gmsaCredentialSpecName  string  -  their name
    hostProcess             bool    -  runs on the host
    runAsUserName           string  -  the user

Lifecycle  what runs after the start and before the end
    postStart   LifecycleHandler  -  right after the start
    preStop     LifecycleHandler  -  before SIGTERM
    stopSignal  string            -  instead of SIGTERM

LifecycleHandler  one action
    exec       ExecAction       -  a command in the container
    httpGet    HTTPGetAction    -  a request to the container
    sleep      SleepAction      -  a pause
    tcpSocket  TCPSocketAction  later  a connection; Kubernetes accepts it and never makes it

Probe  a question asked again and again
    exec                           ExecAction       -  a command in the container
    failureThreshold               int32            -  failures in a row that count; 3 when absent
    grpc                           GRPCAction       -  a gRPC health check
    httpGet                        HTTPGetAction    -  a request to the container
    initialDelaySeconds            int32            -  before the first one
    periodSeconds                  int32            -  from one to the next; 10 when absent
    successThreshold               int32            -  successes in a row that count; 1 when absent
    tcpSocket                      TCPSocketAction  -  a connection to the container
    terminationGracePeriodSeconds  int64            -  instead of the pod's, when it kills
    timeoutSeconds                 int32            -  for the answer; 1 when absent

ExecAction  a command run in the container, without a shell
    command  []string  -  the program and its arguments

HTTPGetAction  an HTTP request
    host         string        -  the pod's address when absent
    httpHeaders  []HTTPHeader  -  headers
    path         string        -  / when absent
    port         IntOrString   -  a number or a port's name
    scheme       string        -  HTTP or HTTPS, without a look at the certificate

HTTPHeader  a header of a request
    name   string  -  of the header
    value  string  -  its text

SleepAction  a pause
    seconds  int64  -  its length

TCPSocketAction  a TCP connection
    host  string       -  the pod's address when absent
    port  IntOrString  -  a number or a port's name

GRPCAction  a gRPC health check
    port     int32   -  the port
    service  string  -  the service asked for
"""
